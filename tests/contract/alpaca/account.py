"""The account that the suite talks to: papermarket's, or Alpaca's paper account."""

import asyncio
import os
import uuid
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.historical.crypto import CryptoHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import QueryOrderStatus
from alpaca.trading.requests import GetOrdersRequest

from holdfast_papermarket.embedded import Embedded
from tests.contract.alpaca import hosts
from tests.contract.witness import Witness

TIMEOUT_SECS = 20
Value = TypeVar("Value")


@dataclass(kw_only=True)
class PaperAccount:
    """Where the account is, alpaca-py's clients of it, and what its answers were found to be."""

    url: str
    data_url: str
    trading_stream_url: str
    data_stream_url: str
    crypto_stream_url: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    market: Embedded | None
    """papermarket under the account; None where it is Alpaca."""
    witness: Witness = field(default_factory=Witness)
    marker: str = field(default_factory=lambda: f"contract-{uuid.uuid4().hex[:12]}")
    """Begins the client order id of every order of this test."""
    _made: int = 0

    def __post_init__(self) -> None:
        keys, data = (self.key, self.secret), self.data_url
        self.trading = self.witness.follow(TradingClient(*keys, url_override=self.url))
        self.stocks = self.witness.follow(StockHistoricalDataClient(*keys, url_override=data))
        self.crypto = self.witness.follow(CryptoHistoricalDataClient(*keys, url_override=data))
        self.actions = self.witness.follow(CorporateActionsClient(*keys, url_override=data))
        self._session = requests.Session()
        self._session.hooks["response"].append(self.witness.take)

    @property
    def headers(self) -> dict[str, str]:
        return {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret}

    def client_id(self) -> str:
        """A client order id that was never used."""
        self._made += 1
        return f"{self.marker}-{self._made}"

    async def raw(self, method: str, path: str, headers: dict[str, str] | None = None, **named: Any) -> Any:
        """One request without the SDK, by which host its path says. Its answer is examined like all others."""
        host = self.data_url if _is_data(path) else self.url
        return await asyncio.to_thread(
            self._session.request,
            method,
            host + path,
            headers=self.headers if headers is None else headers,
            timeout=TIMEOUT_SECS,
            **named,
        )

    async def clean(self) -> None:
        """Cancels what this test has left open, and nothing else."""
        asked = GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=500)
        for order in await ask(self.trading.get_orders, asked):
            if order.client_order_id.startswith(self.marker):
                with _ended_meanwhile():
                    await ask(self.trading.cancel_order_by_id, order.id)


def _is_data(path: str) -> bool:
    return path.startswith(("/v2/stocks", "/v1beta3/", "/v1/corporate-actions"))


class _ended_meanwhile:  # noqa: N801 - read as a sentence
    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: object, _trace: object) -> bool:
        return isinstance(error, APIError) and error.status_code in (404, 422)


async def ask(call: Callable[..., Value], *arguments: Any) -> Any:
    """The client blocks: it is kept off the loop that may serve it."""
    return await asyncio.to_thread(call, *arguments)


async def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """The first true value of a condition that needs a request."""
    async with asyncio.timeout(seconds):
        while not (found := await asyncio.to_thread(condition)):  # noqa: ASYNC110 - it is the venue that is waited for
            await asyncio.sleep(0.05)
        return found


def of_papermarket(market: Embedded) -> PaperAccount:
    return PaperAccount(
        url=market.url,
        data_url=market.url,
        trading_stream_url=market.trading_stream_url,
        data_stream_url=market.data_stream_url,
        crypto_stream_url=market.data_stream_url.replace("/v2/iex", "/v1beta3/crypto/us"),
        key=market.keys.key,
        secret=market.keys.secret,
        market=market,
    )


def of_environment() -> PaperAccount:
    """Alpaca's paper account. Raises RefusedHost, KeyError."""
    url, data_url = hosts.trading_url(), hosts.data_url()
    stream = url.replace("http", "ws", 1)
    data_stream = hosts.DATA_STREAM if data_url == hosts.DATA else data_url.replace("http", "ws", 1)
    return PaperAccount(
        url=url,
        data_url=data_url,
        trading_stream_url=f"{stream}/stream",
        data_stream_url=f"{data_stream}/v2/iex",
        crypto_stream_url=f"{data_stream}/v1beta3/crypto/us",
        key=os.environ[hosts.KEY],
        secret=os.environ[hosts.SECRET],
        market=None,
    )


@asynccontextmanager
async def cleaned(account: PaperAccount) -> AsyncIterator[PaperAccount]:
    """Leaves the account without orders of the test, and confirms that every answer was as published."""
    try:
        yield account
    finally:
        await account.clean()
    account.witness.confirm()
    unknown = sorted(account.witness.unknown)
    assert account.market is None or not unknown, f"papermarket sends what is not published: {unknown}"
    if unknown:
        warnings.warn(f"Alpaca sends what is not described here: {', '.join(unknown)}", stacklevel=2)
