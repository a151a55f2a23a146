"""What nobody expects of one symbol keeps no other one unprotected (invariant 7, CQ-1)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast_exchange.recording import MINUTE
from holdfast_execution.rows import IntentRow
from holdfast_execution.sales import Hands

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


async def test_a_symbol_whose_protection_fails_holds_no_other_one_up(
    make_desk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk()
    desk.broker.tick(OPEN + MINUTE)
    await desk.start(supervised=True)
    await desk.enter("BAC")
    await desk.minute(1)
    await desk.enter("SPY")
    await desk.minute(2)
    (first,), (second,) = desk.resting("BAC"), desk.resting("SPY")
    place_stop = Hands.place_stop

    async def fails_for_bac(hands: Hands, symbol: str, *what: Any) -> IntentRow | None:
        if symbol == "BAC":
            raise ValueError("a defect of ours")
        return await place_stop(hands, symbol, *what)

    monkeypatch.setattr(Hands, "place_stop", fails_for_bac)
    await desk.broker.cancel_order(first.id)
    await desk.broker.cancel_order(second.id)
    await desk.until(lambda: bool(desk.resting("SPY")), advancing=True)
    assert not desk.resting("BAC"), "or nothing has failed"
