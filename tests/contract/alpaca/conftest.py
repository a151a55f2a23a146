"""The account of the suite, five minutes into a recorded day, or Alpaca's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.alpaca.account import PaperAccount, cleaned, of_environment, of_papermarket
from tests.contract.alpaca.hosts import is_real
from tests.contract.papermarket.client import MINUTE, OPEN


@pytest.fixture(scope="session")
def recorded() -> Recording:
    return recordings.load(default_folder_of("equity"))


@pytest.fixture
async def account(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PaperAccount]:
    if is_real():
        async with cleaned(of_environment()) as found:
            yield found
        return
    recorded = request.getfixturevalue("recorded")
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08") as market:
        market.step_to(OPEN + 5 * MINUTE)
        async with cleaned(of_papermarket(market)) as found:
            yield found


@pytest.fixture
def replay(account: PaperAccount) -> Embedded:
    """papermarket's clock and books. A test that needs them cannot be run against Alpaca."""
    if account.market is None:
        pytest.skip("needs a replay that can be moved on")
    return account.market
