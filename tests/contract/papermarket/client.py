"""Words of the tests that put the real alpaca-py in front of papermarket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderClass, OrderSide, TimeInForce
from alpaca.trading.requests import (
    LimitOrderRequest,
    MarketOrderRequest,
    StopLossRequest,
)

from holdfast_papermarket.embedded import Embedded

OPEN = datetime(2013, 10, 8, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE_SECS = 30.0
"""A machine that is busy with other things is not what these tests are about."""
Value = TypeVar("Value")


async def ask(call: Callable[..., Value], *arguments: Any) -> Any:
    """The client blocks: it is kept off the loop that serves it."""
    return await asyncio.to_thread(call, *arguments)


async def refused(call: Callable[..., Value], *arguments: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(APIError) as error:
        await ask(call, *arguments)
    return int(error.value.status_code or 0), json.loads(str(error.value))


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECS):
        while not condition():  # noqa: ASYNC110 - what is waited for lives in the client
            await asyncio.sleep(0.001)


def entry(quantity: int = 10, limit: float = 170.0, **fields: Any) -> LimitOrderRequest:
    return LimitOrderRequest(
        symbol="SPY", qty=quantity, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=limit, **fields
    )


def protected_entry(**fields: Any) -> LimitOrderRequest:
    return entry(order_class=OrderClass.OTO, stop_loss=StopLossRequest(stop_price=150.0), **fields)


def market_order(side: OrderSide, quantity: int = 10, **fields: Any) -> MarketOrderRequest:
    return MarketOrderRequest(symbol="SPY", qty=quantity, side=side, time_in_force=TimeInForce.DAY, **fields)


def headers(market: Embedded, **changes: str) -> dict[str, str]:
    return {"APCA-API-KEY-ID": market.keys.key, "APCA-API-SECRET-KEY": market.keys.secret} | changes


@asynccontextmanager
async def streaming(stream: Any) -> AsyncIterator[Any]:
    """alpaca-py's own stream, running in this loop."""
    task = asyncio.create_task(stream._run_forever())
    try:
        yield stream
    finally:
        # The client may lose a cancel that arrives together with a frame: it is told until it has ended.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1)
        await stream.close()
