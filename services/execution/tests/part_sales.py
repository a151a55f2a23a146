"""Sales of parts of a position, as the tests ask for them (SY-2)."""

from decimal import Decimal
from typing import Any

from holdfast.common.v1 import common_pb2 as common


async def held(desk: Any) -> None:
    """A protected position of 10 SPY."""
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).quantity == 10


def reduction(desk: Any, quantity: int = 3, **changes: Any) -> Any:
    decision = desk.decision(exit_=True, direction=common.DIRECTION_REDUCE_LONG, **changes)
    decision.signal_id += ".REDUCE"
    decision.quantity.value = str(quantity)
    return decision


def for_sale(desk: Any) -> Decimal:
    return sum((order.remaining for order in desk.resting() if order.side.value == "sell"), Decimal(0))
