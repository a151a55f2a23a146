"""Sales of parts of positions in the ledger, on SQLite and PostgreSQL: older code can read them (SY-2, and the order
protocol's control "incompatible versions")."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
import sqlalchemy as sa

from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger, open_ledger
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.rows import NewFill
from tests.contract.ledger_samples import ACCOUNT, NOW, sale

FIRST_PURPOSES = {"entry", "stop", "exit", "flatten"}
"""All that the first release can read: another word in a row, and it could protect nothing."""


@pytest.fixture
def opened(ledger_url: str) -> Iterator[tuple[Database, SqlLedger]]:
    database, ledger = open_ledger(ledger_url, ACCOUNT)
    yield database, ledger
    database.close()


@pytest.fixture
def epoch(opened: tuple[Database, SqlLedger]) -> int:
    ledger = opened[1]
    taken = ledger.acquire_lease(NOW, "pod-a", ledger.lease())
    assert taken is not None
    ledger.open_account(taken.epoch, NOW, Decimal(100_000))
    return taken.epoch


def test_a_sale_of_a_part_is_kept_as_what_it_is(opened: tuple[Database, SqlLedger], epoch: int) -> None:
    _, ledger = opened
    part = ledger.add_intent(epoch, NOW, sale(quantity="3", name="reduce", purpose=Purpose.REDUCE))
    whole = ledger.add_intent(epoch, NOW, sale("BAC", name="exit", purpose=Purpose.EXIT))
    assert (part.purpose, whole.purpose) == (Purpose.REDUCE, Purpose.EXIT)
    assert ledger.intent(part.intent_id) == part
    assert {row.intent_id: row.purpose for row in ledger.open_intents()} == {
        part.intent_id: Purpose.REDUCE, whole.intent_id: Purpose.EXIT,
    }  # fmt: skip
    assert ledger.claim_send(epoch, NOW, part.intent_id).purpose is Purpose.REDUCE


def test_older_code_can_read_it_and_go_on_protecting(opened: tuple[Database, SqlLedger], epoch: int) -> None:
    """To a pod of the release before it is a sale; rows that such a pod stores are no parts. It may open entries."""
    database, ledger = opened
    part = ledger.add_intent(epoch, NOW, sale(quantity="3", name="reduce", purpose=Purpose.REDUCE))
    with database.write.begin() as connection:
        stored = set(connection.execute(sa.select(tables.intents.c.purpose)).scalars())
        before = [column for column in tables.intents.columns if column.name != "part"]
        row = dict(connection.execute(sa.select(*before)).one()._mapping)
        row |= {"intent_id": "old", "client_order_id": "hf-old", "purpose": "exit"}
        connection.execute(sa.insert(tables.intents).values(row))
        order = dict(connection.execute(sa.select(tables.orders)).one()._mapping)
        connection.execute(sa.insert(tables.orders).values(order | {"intent_id": "old", "client_order_id": "hf-old"}))
        oldest = connection.execute(sa.select(tables.meta.c.oldest_compatible)).scalar_one()
    assert stored <= FIRST_PURPOSES
    assert (ledger.intent("old").purpose, ledger.intent(part.intent_id).purpose) == (Purpose.EXIT, Purpose.REDUCE)
    assert oldest < tables.REVISION


def test_the_brokers_ids_of_past_orders_are_told(opened: tuple[Database, SqlLedger], epoch: int) -> None:
    """Point 12 and invariant 14: an order at the broker is matched by its id, whichever leg or replacement it was."""
    _, ledger = opened
    stop = ledger.add_intent(epoch, NOW, sale(name="stop", purpose=Purpose.STOP))
    ledger.claim_send(epoch, NOW, stop.intent_id)
    ledger.record_ack(epoch, NOW, stop.intent_id, "b-1")
    assert ledger.past_orders() == {}
    smaller = ledger.record_replacement(epoch, NOW, stop.intent_id, "hf-r1", "b-2", quantity=Decimal(7))
    assert (smaller.quantity, smaller.leg_quantity, smaller.leg) == (7, 7, 1)
    ledger.record_refusal(epoch, NOW, stop.intent_id, "ENDED")
    ledger.new_leg(epoch, NOW, stop.intent_id, "hf-2", quantity=Decimal(7))
    assert ledger.past_orders() == {stop.intent_id: ("b-1", "b-2")}
    assert ledger.past_orders(NOW) == {stop.intent_id: ("b-1", "b-2")}


def test_a_late_fill_of_an_earlier_leg_takes_nothing_from_the_present_one(
    opened: tuple[Database, SqlLedger], epoch: int
) -> None:
    """Invariant 13: what rests at the broker under the present leg rests there all the same, and counts as cover."""
    _, ledger = opened
    stop = ledger.add_intent(epoch, NOW, sale(name="stop", quantity="10", purpose=Purpose.STOP))
    ledger.claim_send(epoch, NOW, stop.intent_id)
    ledger.record_ack(epoch, NOW, stop.intent_id, "b-1")
    ledger.record_order_state(epoch, NOW, stop.intent_id, IntentState.CANCELLED)
    ledger.new_leg(epoch, NOW, stop.intent_id, "hf-2", quantity=Decimal(7))
    two, price = Decimal(2), Decimal(95)
    late = NewFill(broker_order_id="b-1", quantity=two, cumulative_quantity=two, price=price, filled_at=NOW)
    row = ledger.apply_fill(epoch, NOW, late).intent
    assert (row.leg_quantity, row.filled_quantity, row.remaining) == (7, 2, 7)
