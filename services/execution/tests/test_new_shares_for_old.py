"""A company that is bought, renamed or split up while its shares are held (invariants 6 and 9, BS-2).

The venue's books change, the ledger's do not: reconciliation halts entries, a person decides. Meanwhile nothing is sold
that the broker does not hold, not even where the account may sell short.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange.account import AccountConfig
from holdfast_exchange.account_commands import Announce
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.faults.commands import Liquidate
from holdfast_exchange.recording import MINUTE
from holdfast_execution.domain.intents import Purpose

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)

SHORTS_ALLOWED = {"account": AccountConfig(multiplier=2, configuration=Configuration(no_shorting=False))}
GONE = {
    ActionKind.NAME_CHANGE: {"new_symbol": "NEW"},
    ActionKind.CASH_MERGER: {"cash": Decimal(120)},
    ActionKind.STOCK_MERGER: {"new_symbol": "NEW", "new_rate": Decimal(2)},
    ActionKind.STOCK_AND_CASH_MERGER: {"new_symbol": "NEW", "new_rate": Decimal("0.55"), "cash": Decimal(30)},
}
FALLING = [("100", "100.5", "99.5", "100")] * 3 + [("94", "94.5", "90", "91")] * 10


@pytest.fixture
async def desk(make_desk: Any) -> Any:
    """10 SPY held with their stop, on an account that may sell short; the market falls through the stop later."""
    made = make_desk(config=SHORTS_ALLOWED, SPY=FALLING)
    await made.start()
    await made.enter()
    await made.minute(1)
    assert (await made.position()).protection == "active"
    return made


async def trades_on(desk: Any) -> None:
    """Minutes in which the price falls through the stop, and time for every retry."""
    for number, last in ((2, "100"), (3, "91"), (4, "91")):
        desk.broker.tick(OPEN + MINUTE * (number + 1))
        desk.prices.tell(desk.price("SPY", last))
        await desk.pass_secs(12)
    await desk.settled()


async def unprotected_and_unsold(desk: Any, before: int) -> None:
    """The position stands in the ledger, naked for all to see; nothing has left since `before` orders."""
    assert len(desk.orders()) == before, "no order for what the broker does not hold"
    assert desk.broker.exchange.books.held("SPY") == 0
    position = await desk.position()
    assert (position.quantity, position.protection) == (10, "none")


@pytest.mark.parametrize("kind", GONE)
async def test_what_the_broker_holds_no_more_is_neither_stopped_nor_sold(desk: Any, kind: ActionKind) -> None:
    now, before = desk.clock.now(), len(desk.orders())
    desk.broker.carry_out(Announce(now, CorporateAction(kind=kind, symbol="SPY", ex_date=now.date(), **GONE[kind])))
    await trades_on(desk)
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(12)
    await unprotected_and_unsold(desk, before)


async def test_a_position_that_the_broker_liquidated_gets_no_new_stop(desk: Any) -> None:
    before = len(desk.orders())
    desk.broker.carry_out(Liquidate(desk.clock.now(), "SPY"))
    await trades_on(desk)
    await unprotected_and_unsold(desk, before + 1)


async def test_shares_of_a_spun_off_company_leave_position_and_stop_as_they_were(desk: Any) -> None:
    now = desk.clock.now()
    spin_off = CorporateAction(
        kind=ActionKind.SPIN_OFF, symbol="SPY", ex_date=now.date(), new_symbol="NEW", old_rate=Decimal(4)
    )
    desk.broker.carry_out(Announce(now, spin_off))
    await desk.minute(2)
    assert desk.broker.exchange.books.held("NEW") > 0
    position, stop = await desk.position(), await desk.one(Purpose.STOP)
    assert (position.quantity, position.protection, position.stop_price) == (10, "active", 95)
    assert [order.id for order in desk.resting()] == [stop.broker_order_id]
    assert desk.orders("NEW") == []
