"""A venue five minutes into a recorded day, and alpaca-py's clients of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.trading.client import TradingClient

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import MINUTE, OPEN
from tests.contract.witness import Witness


@pytest.fixture(scope="module")
def recorded() -> Recording:
    return recordings.load(default_folder_of("equity"))


@pytest.fixture
async def market(recorded: Recording, tmp_path: Path) -> AsyncIterator[Embedded]:
    """A venue five minutes into Tuesday 2013-10-08."""
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08") as running:
        running.step_to(OPEN + 5 * MINUTE)
        yield running


@pytest.fixture
def witness() -> Iterator[Witness]:
    """Every answer that a client of this file's fixtures gets is as Alpaca publishes it."""
    seen = Witness()
    yield seen
    seen.confirm()


@pytest.fixture
def trading(market: Embedded, witness: Witness) -> TradingClient:
    followed: TradingClient = witness.follow(
        TradingClient(market.keys.key, market.keys.secret, url_override=market.url)
    )
    return followed


@pytest.fixture
def history(market: Embedded, witness: Witness) -> StockHistoricalDataClient:
    followed: StockHistoricalDataClient = witness.follow(
        StockHistoricalDataClient(market.keys.key, market.keys.secret, url_override=market.url)
    )
    return followed
