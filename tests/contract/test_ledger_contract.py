"""What the ledger does alike on SQLite and on PostgreSQL (order protocol, points 1-11, invariants 4, 6, 12, 13)."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.migrate import migrate_database
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.domain.intents import IllegalTransition, IntentState, Purpose
from holdfast_execution.domain.limits import Limits, enforcer
from holdfast_execution.ledger import ClaimRefused, LeaseRow, LedgerError, NewIntent, StaleFence, UnknownRow
from holdfast_runtime.ledger_halts import engage_kill_switch
from holdfast_runtime.ports.venue import BrokerAsset, OrderType, Side, TimeInForce
from tests.contract.ledger_samples import ACCOUNT, CASH, MINUTE, NOW, decision, entry, fill, sale, verdict


@pytest.fixture
def epoch(ledger: SqlLedger, epoch: int) -> int:
    """Entries may leave: a comparison has found ledger and broker alike."""
    ledger.record_verdict(epoch, NOW, verdict())
    return epoch


def bought(ledger: SqlLedger, epoch: int, symbol: str = "IBM", order: str = "b-1", quantity: str = "10") -> str:
    """An entry that the broker has; returns its intent id."""
    made = decision(symbol, quantity=quantity)
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    ledger.claim_send(epoch, NOW, row.intent_id)
    ledger.record_ack(epoch, NOW, row.intent_id, order)
    return row.intent_id


def facts(ledger: SqlLedger) -> list[execution.Fact]:
    return [execution.Fact.FromString(row.fact) for row in ledger.unpublished(10_000)]


# --- schema


def test_migrations_are_idempotent_and_agree_with_the_tables(opened: tuple[Database, SqlLedger]) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database, ledger = opened
    assert migrate_database(database) == tables.REVISION
    with database.write.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [
            change for change in compare_metadata(context, tables.metadata) if "alembic_version" not in str(change)
        ]
    assert differences == []
    assert ledger.compatible() == ""


@pytest.mark.parametrize(
    ("revision", "oldest", "code"),
    [(tables.REVISION + 2, tables.REVISION + 1, "LEDGER_REQUIRES_NEWER"), (tables.REVISION - 1, 0, "LEDGER_OLDER")],
)
def test_code_that_does_not_fit_the_ledger_sends_protection_but_no_entry(
    opened: tuple[Database, SqlLedger], epoch: int, revision: int, oldest: int, code: str
) -> None:
    database, ledger = opened
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    with database.write.begin() as connection:
        connection.execute(sa.update(tables.meta).values(revision=revision, oldest_compatible=oldest))
    assert ledger.compatible().startswith(code)
    with pytest.raises(ClaimRefused, match=code):
        ledger.claim_send(epoch, NOW, row.intent_id)
    stop = ledger.add_intent(epoch, NOW, sale(purpose=Purpose.STOP))
    assert ledger.claim_send(epoch, NOW, stop.intent_id).state is IntentState.SENDING


# --- decisions


def test_a_cycle_is_stored_whole_blocked_decisions_too(ledger: SqlLedger, epoch: int) -> None:
    decisions = [decision("IBM"), decision("BAC", allowed=False), decision("AIG", allowed=False, reason="SCORE_LOW")]
    before = ledger.version()
    stored = ledger.store_cycle(epoch, NOW, decisions, {decisions[0].signal_id: entry(decisions[0])})
    assert stored.version == before + 1 == ledger.version()
    assert not stored.replayed
    assert [row.symbol for row in stored.intents] == ["IBM"]
    assert ledger.decisions([each.signal_id for each in decisions]) == decisions
    state = ledger.ledger_state()
    assert (state.decisions_allowed, state.decisions_blocked) == (1, 2)
    assert state.decisions_by_reason == {"ALLOWED": 1, "COOLDOWN_ACTIVE": 1, "SCORE_LOW": 1}
    assert state.account.reserved == Decimal(1800)
    (progress,) = ledger.strategies()
    assert progress.last_decided_cycle_time == NOW


def test_a_redelivered_cycle_gets_what_was_stored_first(ledger: SqlLedger, epoch: int) -> None:
    """BS-3, order protocol point 2."""
    first, second = decision("IBM"), decision("BAC", allowed=False)
    ledger.store_cycle(epoch, NOW, [first, second], {first.signal_id: entry(first)})
    version, told = ledger.version(), len(facts(ledger))
    changed = decision("IBM", allowed=False, reason="KILL_SWITCH_ENGAGED")
    again = ledger.store_cycle(epoch, NOW + MINUTE, [second, changed], {})
    assert again.replayed
    assert again.intents == ()
    assert again.decisions == (second, first)
    assert (ledger.version(), len(facts(ledger))) == (version, told)


def test_limits_are_enforced_inside_the_submit_transaction(ledger: SqlLedger, epoch: int) -> None:
    """FP-3.3: the best score gets the one place, the other is stored as blocked, without an intent."""
    low, high = decision("IBM", score=2.5), decision("BAC", score=4.0)
    wishes = {each.signal_id: entry(each) for each in (low, high)}
    stored = ledger.store_cycle(epoch, NOW, [low, high], wishes, enforcer(Limits(max_new_per_cycle=1)))
    assert [(each.symbol, each.allowed, each.reason) for each in stored.decisions] == [
        ("IBM", False, "CYCLE_FULL"),
        ("BAC", True, "ALLOWED"),
    ]
    assert [row.symbol for row in stored.intents] == ["BAC"]
    assert ledger.decisions([low.signal_id])[0].verdicts[-1].numbers["max"] == "1"


def test_a_second_strategy_cannot_enter_an_owned_symbol(ledger: SqlLedger, epoch: int) -> None:
    mine, theirs = decision("IBM"), decision("IBM", strategy="etf")
    check = enforcer(Limits())
    ledger.store_cycle(epoch, NOW, [mine], {mine.signal_id: entry(mine)}, check)
    stored = ledger.store_cycle(epoch, NOW, [theirs], {theirs.signal_id: entry(theirs)}, check)
    assert stored.decisions[0].reason == "SYMBOL_OWNED"


# --- sends


def test_sends_of_one_client_order_id_are_bounded_across_restarts(
    opened: tuple[Database, SqlLedger], epoch: int
) -> None:
    """SQ-1, invariant 4: first by the ledger, then by the database itself."""
    database, ledger = opened
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    for attempt in range(1, 5):
        assert ledger.claim_send(epoch, NOW, row.intent_id).attempts == attempt
        ledger.record_unknown(epoch, NOW, row.intent_id, "TIMEOUT")
    with pytest.raises(ClaimRefused) as refused:
        ledger.claim_send(epoch, NOW, row.intent_id)
    assert refused.value.reason == "ATTEMPTS_EXHAUSTED"
    with pytest.raises(sa.exc.IntegrityError), database.write.begin() as connection:
        connection.execute(sa.update(tables.orders).values(attempts=5))


def test_a_client_order_id_belongs_to_one_intent(ledger: SqlLedger, epoch: int) -> None:
    ledger.add_intent(epoch, NOW, sale(name="one"))
    twin = sale(name="one")
    other = NewIntent(**{name: getattr(twin, name) for name in twin.__dataclass_fields__} | {"intent_id": "other"})
    version = ledger.version()
    with pytest.raises(LedgerError):
        ledger.add_intent(epoch, NOW, other)
    assert ledger.version() == version
    assert ledger.add_intent(epoch, NOW, twin).intent_id == twin.intent_id


def test_a_kill_switch_that_admin_inserts_stops_the_next_send_of_an_entry_only(
    opened: tuple[Database, SqlLedger], epoch: int, ledger_url: str
) -> None:
    """KS, invariant 10: execution need not have noticed the row."""
    _, ledger = opened
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    halt_id = engage_kill_switch(ledger_url, ACCOUNT, "drill", "alice", NOW)
    assert engage_kill_switch(ledger_url, ACCOUNT, "again", "bob", NOW + MINUTE) == halt_id
    with pytest.raises(ClaimRefused) as refused:
        ledger.claim_send(epoch, NOW, row.intent_id)
    assert refused.value.reason == "KILL_SWITCH_ENGAGED"
    assert ledger.intent(row.intent_id).state is IntentState.PENDING
    stop = ledger.add_intent(epoch, NOW, sale(purpose=Purpose.STOP))
    assert ledger.claim_send(epoch, NOW, stop.intent_id).state is IntentState.SENDING
    assert ledger.has_unnoticed_halts()
    assert [each.halt_id for each in ledger.notice_halts(epoch, NOW)] == [halt_id]
    assert not ledger.has_unnoticed_halts()
    assert facts(ledger)[-1].halt.set_by == "alice"
    ledger.clear_halt(epoch, NOW, halt_id, "alice", "drill over")
    assert facts(ledger)[-1].cleared
    assert ledger.claim_send(epoch, NOW, row.intent_id).state is IntentState.SENDING


def test_a_halt_that_was_cleared_can_be_set_again_at_the_same_instant(
    ledger: SqlLedger, epoch: int, ledger_url: str
) -> None:
    """KS: market time stands still when a replay waits or has ended; the switch must work all the same."""
    seen = set()
    for _ in range(3):
        pulled = engage_kill_switch(ledger_url, ACCOUNT, "drill", "alice", NOW)
        refused = ledger.add_halt(epoch, NOW, "credentials", "401")
        assert {row.halt_id for row in ledger.halts()} == {pulled, refused.halt_id}
        seen |= {pulled, refused.halt_id}
        for halt_id in (pulled, refused.halt_id):
            ledger.clear_halt(epoch, NOW, halt_id, "alice")
    assert len(seen) == 6


def test_an_entry_is_not_sent_after_its_validity(ledger: SqlLedger, epoch: int) -> None:
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    with pytest.raises(ClaimRefused, match="valid until"):
        ledger.claim_send(epoch, NOW + MINUTE, row.intent_id)
    assert ledger.mark_not_sent(epoch, NOW + MINUTE, row.intent_id, "CYCLE_EXPIRED").state is IntentState.NOT_SENT
    assert ledger.account().reserved == 0


def test_a_send_that_did_not_happen_gives_its_attempt_back(ledger: SqlLedger, epoch: int) -> None:
    """Order protocol point 5; with an earlier send about, only a look-up can tell."""
    stop = ledger.add_intent(epoch, NOW, sale(purpose=Purpose.STOP))
    ledger.claim_send(epoch, NOW, stop.intent_id)
    row = ledger.mark_not_sent(epoch, NOW, stop.intent_id, "LEASE_MARGIN", try_again=True)
    assert (row.state, row.attempts, row.total_attempts) == (IntentState.PENDING, 0, 0)
    ledger.claim_send(epoch, NOW, stop.intent_id)
    ledger.record_unknown(epoch, NOW, stop.intent_id, "TIMEOUT")
    ledger.claim_send(epoch, NOW, stop.intent_id)
    row = ledger.mark_not_sent(epoch, NOW, stop.intent_id, "LEASE_MARGIN")
    assert (row.state, row.attempts) == (IntentState.UNKNOWN, 1)


def test_the_next_leg_has_an_id_of_its_own_and_an_entry_four_sends_over_all_legs(ledger: SqlLedger, epoch: int) -> None:
    """Order protocol point 10."""
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    for leg in range(2, 6):
        with pytest.raises(IllegalTransition):
            ledger.new_leg(epoch, NOW, row.intent_id, "too-early")
        ledger.claim_send(epoch, NOW, row.intent_id)
        ledger.record_refusal(epoch, NOW, row.intent_id, "BUYING_POWER")
        if leg == 5:
            with pytest.raises(ClaimRefused, match="sent 4 times"):
                ledger.new_leg(epoch, NOW, row.intent_id, f"hf-leg-{leg}")
        else:
            again = ledger.new_leg(epoch, NOW, row.intent_id, f"hf-leg-{leg}", quantity=Decimal(5))
            assert (again.leg, again.attempts, again.leg_quantity) == (leg, 0, Decimal(5))
    assert [order.leg for order in ledger.orders(row.intent_id)] == [1, 2, 3, 4]


def test_a_stop_that_is_placed_again_wants_what_is_held_now(ledger: SqlLedger, epoch: int) -> None:
    """TL-6: of a partial entry less is held than its leg was made for; no exit stands for more than the position."""
    bought(ledger, epoch)
    wish = NewIntent(
        intent_id="stop", signal_id="", strategy="sma", symbol="IBM", side=Side.SELL, purpose=Purpose.STOP,
        quantity=Decimal(10), order_type=OrderType.STOP, time_in_force=TimeInForce.DAY, client_order_id="broker-made",
        stop_price=Decimal(171), broker_order_id="b-stop",
    )  # fmt: skip
    ledger.add_intent(epoch, NOW, wish)
    ledger.record_order_state(epoch, NOW, "stop", IntentState.CANCELLED)
    again = ledger.new_leg(epoch, NOW, "stop", "hf-leg-2", quantity=Decimal(4))
    assert (again.quantity, again.leg_quantity, again.filled_quantity) == (4, 4, 0)


def test_terminal_states_absorb_and_unknown_moves_are_refused(ledger: SqlLedger, epoch: int) -> None:
    """Invariant 13."""
    intent_id = bought(ledger, epoch)
    with pytest.raises(IllegalTransition):
        ledger.record_order_state(epoch, NOW, intent_id, IntentState.TOMBSTONED)
    ledger.record_order_state(epoch, NOW, intent_id, IntentState.CANCELLED)
    version = ledger.version()
    assert ledger.record_order_state(epoch, NOW, intent_id, IntentState.REJECTED).state is IntentState.CANCELLED
    assert ledger.version() == version


# --- fills


def test_fills_in_any_order_however_often_give_the_same_position_and_cash(ledger: SqlLedger, epoch: int) -> None:
    """DI-6, invariant 6."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    outcomes = set()
    for symbol in ("IBM", "BAC", "AIG"):
        order = f"b-{symbol}"
        bought(ledger, epoch, symbol, order, quantity="30")
        ledger.add_intent(epoch, NOW, sale(symbol, "20"))
        ledger.claim_send(epoch, NOW, f"{symbol}.flat")
        ledger.record_ack(epoch, NOW, f"{symbol}.flat", f"{order}-sale")
        details = [
            fill(order, "7", "7", "180.01", after_secs=1),
            fill(order, "13", "20", "180.02", after_secs=2),
            fill(order, "10", "30", "179.99", after_secs=4),
            fill(f"{order}-sale", "5", "5", "181.37", after_secs=3),
            fill(f"{order}-sale", "15", "20", "178.11", after_secs=5),
        ]
        cash = ledger.account().cash
        deliveries = details + chance.choices(details, k=5)
        chance.shuffle(deliveries)
        for each in deliveries:
            ledger.apply_fill(epoch, NOW, each)
        position = ledger.position(symbol)
        assert position is not None
        realised = sorted((row.cumulative_quantity, row.realised_pnl) for row in ledger.fills() if row.symbol == symbol)
        outcomes.add((position.quantity, position.cost, position.realised_pnl, ledger.account().cash - cash, *realised))
    assert len(outcomes) == 1
    account = ledger.account()
    held = sum((row.cost for row in ledger.positions()), Decimal(0))
    assert account.cash == CASH + account.realised_pnl - held


def test_filled_is_the_largest_total_seen_and_open_until_all_of_it_is_counted(ledger: SqlLedger, epoch: int) -> None:
    """Point 11, invariant 6: what is over is not asked for again, and an earlier part may still be missing."""
    intent_id = bought(ledger, epoch)
    later = ledger.apply_fill(epoch, NOW, fill(quantity="4", cumulative="10"))
    assert (later.gap, later.intent.filled_quantity) == (True, Decimal(10))
    assert later.intent.state is IntentState.PARTIALLY_FILLED
    assert later.position.quantity == 4
    missing = ledger.apply_fill(epoch, NOW, fill(quantity="6", cumulative="6", price="179"))
    assert (missing.gap, missing.late, missing.position.quantity) == (False, False, Decimal(10))
    assert missing.intent.state is IntentState.FILLED
    assert ledger.intent(intent_id).filled_average_price == Decimal("179.4")


def test_a_total_without_detail_is_counted_once_and_detail_does_not_repeat_it(ledger: SqlLedger, epoch: int) -> None:
    bought(ledger, epoch)
    ledger.apply_fill(epoch, NOW, fill(quantity="4", cumulative="4", price="180"))
    total = ledger.apply_filled_total(epoch, NOW, "b-1", Decimal(10), Decimal("180.6"), NOW)
    assert total.fill is not None
    assert (total.fill.quantity, total.fill.price) == (Decimal(6), Decimal(181))
    assert not ledger.apply_filled_total(epoch, NOW, "b-1", Decimal(10), Decimal("180.6"), NOW).applied
    assert not ledger.apply_fill(epoch, NOW, fill(quantity="6", cumulative="10", price="181")).applied
    assert ledger.account().cash == CASH - Decimal(1806)


def test_a_fill_after_the_end_is_counted_and_told_as_late(ledger: SqlLedger, epoch: int) -> None:
    """Invariant 13."""
    intent_id = bought(ledger, epoch)
    ledger.record_order_state(epoch, NOW, intent_id, IntentState.CANCELLED)
    done = ledger.apply_fill(epoch, NOW, fill(quantity="3", cumulative="3"))
    assert (done.late, done.intent.state, done.position.quantity) == (True, IntentState.CANCELLED, Decimal(3))


def test_a_fill_that_arrives_before_its_acknowledgement_finds_the_order_by_client_id(
    ledger: SqlLedger, epoch: int
) -> None:
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    ledger.claim_send(epoch, NOW, row.intent_id)
    with pytest.raises(UnknownRow):
        ledger.apply_fill(epoch, NOW, fill("b-9"))
    early = fill("b-9", quantity="2", cumulative="2")
    early = type(early)(
        **{name: getattr(early, name) for name in early.__dataclass_fields__} | {"client_order_id": row.client_order_id}
    )
    assert ledger.apply_fill(epoch, NOW, early).intent.state is IntentState.PARTIALLY_FILLED
    after = ledger.record_ack(epoch, NOW, row.intent_id, "b-9")
    assert (after.state, after.broker_order_id) == (IntentState.PARTIALLY_FILLED, "b-9")


def test_a_closed_position_has_no_exit_owner_and_no_stop(ledger: SqlLedger, epoch: int) -> None:
    bought(ledger, epoch)
    ledger.apply_fill(epoch, NOW, fill())
    ledger.set_protection(epoch, NOW, "IBM", "active", stop_price=Decimal(171), stop_quantity=Decimal(10))
    ledger.set_exit_owner(epoch, NOW, "IBM", "stop")
    with pytest.raises(ClaimRefused, match="belongs to stop"):
        ledger.set_exit_owner(epoch, NOW, "IBM", "exit", expected="")
    assert ledger.snapshot(NOW).positions[0].protection == execution.PROTECTION_ACTIVE
    ledger.set_exit_owner(epoch, NOW, "IBM", "flatten", expected="stop")
    row = ledger.add_intent(epoch, NOW, sale())
    ledger.claim_send(epoch, NOW, row.intent_id)
    ledger.record_ack(epoch, NOW, row.intent_id, "b-2")
    closed = ledger.apply_fill(epoch, NOW, fill("b-2", price="182.5", after_secs=2)).position
    assert (closed.exit_owner, closed.protection, closed.stop_price) == ("", "none", None)
    assert closed.realised_pnl == Decimal(25)
    assert ledger.account().cash == CASH + 25
    assert list(ledger.snapshot(NOW).positions) == []


# --- snapshot, log and outbox


def test_a_snapshot_holds_what_the_gates_decide_on(ledger: SqlLedger, epoch: int) -> None:
    bought(ledger, epoch)
    asset = BrokerAsset(
        symbol="IBM", tradable=True, fractionable=False, shortable=True, marginable=True, status="active"
    )
    ledger.record_assets(epoch, NOW, [asset])
    version = ledger.version()
    ledger.record_assets(epoch, NOW, [asset])
    halt = ledger.add_halt(epoch, NOW, "foreign_order", "order b-77 is not ours", symbol="BAC")
    assert ledger.add_halt(epoch, NOW + MINUTE, "foreign_order", "again", symbol="BAC") == halt
    assert ledger.version() == version + 1
    snapshot = ledger.snapshot(NOW, entries_locked_reason="START")
    assert snapshot.version == version + 1
    assert snapshot.account.reserved.value == "1800"
    assert [each.symbol for each in snapshot.open_intents] == ["IBM"]
    assert [(each.symbol, each.entries_today) for each in snapshot.last_entries] == [("IBM", 1)]
    assert [each.kind for each in snapshot.halts] == ["foreign_order"]
    assert snapshot.reconciliation.state == execution.RECONCILIATION_STATE_CLEAN
    assert snapshot.entries_locked_reason == "START"
    assert [each.symbol for each in snapshot.assets] == ["IBM"]
    assert [each.state for each in snapshot.strategies] == ["running"]


def test_each_write_appends_its_facts_in_the_same_transaction(ledger: SqlLedger, epoch: int) -> None:
    bought(ledger, epoch)
    ledger.apply_fill(epoch, NOW, fill())
    told = facts(ledger)
    assert [fact.event_id for fact in told] == list(range(1, len(told) + 1))
    kinds = [fact.kind for fact in told]
    assert kinds[:3] == ["lease", "account", "reconciliation"]
    assert kinds[3:] == ["decisions", "intent", "intent", "intent", "fill", "intent", "position", "account"]
    traced = {fact.traceparent for fact in told if fact.kind in ("decisions", "intent", "fill", "position")}
    assert traced == {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert all(fact.summary for fact in told)
    ledger.mark_published(epoch, [1, 2])
    assert [row.event_id for row in ledger.unpublished(2)] == [3, 4]


def test_the_first_facts_tell_of_the_cash_and_of_who_held_the_lease_before(ledger: SqlLedger) -> None:
    """A curve that begins at zero, or a holder who comes after itself, would be a lie."""
    first = ledger.acquire_lease(NOW, "pod-a", ledger.lease())
    assert first is not None
    assert ledger.account().cash == 0
    assert ledger.open_account(first.epoch, NOW, CASH).cash == CASH
    assert ledger.acquire_lease(NOW, "pod-b", ledger.lease()) is not None
    told = facts(ledger)
    assert [fact.account.cash.value for fact in told if fact.kind == "account"] == [str(CASH)]
    leases = [fact.summary for fact in told if fact.kind == "lease"]
    assert [summary.partition(", after ")[2] for summary in leases] == ["nobody", "pod-a"]


# --- fence and lease


def test_a_write_with_an_old_fence_is_refused(ledger: SqlLedger, epoch: int) -> None:
    """Invariant 12."""
    intent_id = bought(ledger, epoch)
    taken = ledger.acquire_lease(NOW, "pod-b", ledger.lease())
    assert taken is not None
    made = decision("BAC")
    attempts = [
        lambda: ledger.store_cycle(epoch, NOW, [made], {}),
        lambda: ledger.claim_send(epoch, NOW, intent_id),
        lambda: ledger.record_order_state(epoch, NOW, intent_id, IntentState.CANCELLED),
        lambda: ledger.apply_fill(epoch, NOW, fill()),
        lambda: ledger.add_halt(epoch, NOW, "credentials", "401"),
        lambda: ledger.mark_published(epoch, [1]),
        lambda: ledger.beat_lease("pod-a", epoch),
    ]
    version = ledger.version()
    for attempt in attempts:
        with pytest.raises(StaleFence):
            attempt()
    assert ledger.version() == version
    ledger.store_cycle(taken.epoch, NOW, [made], {})


def test_the_lease_is_taken_by_compare_and_swap(ledger: SqlLedger) -> None:
    """SQ-5: a beat between look and take-over wins; a released lease is free and fences its former holder."""
    free = ledger.lease()
    taken = ledger.acquire_lease(NOW, "pod-a", free)
    assert taken == LeaseRow(holder="pod-a", epoch=1, beat=1)
    assert ledger.acquire_lease(NOW, "pod-b", free) is None
    assert ledger.beat_lease("pod-a", 1).beat == 2
    assert ledger.acquire_lease(NOW, "pod-b", taken) is None
    ledger.release_lease(NOW, "pod-a", 1)
    assert ledger.lease().holder == ""
    with pytest.raises(StaleFence):
        ledger.note(1, NOW, "x", "too late")
    again = ledger.acquire_lease(NOW, "pod-b", ledger.lease())
    assert again is not None
    assert (again.holder, again.epoch) == ("pod-b", 2)


def test_a_successor_treats_sending_as_unknown(ledger: SqlLedger, epoch: int) -> None:
    """Order protocol point 4."""
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    ledger.claim_send(epoch, NOW, row.intent_id)
    ledger.acquire_lease(NOW, "pod-b", ledger.lease())
    assert ledger.intent(row.intent_id).state is IntentState.UNKNOWN


def test_last_entries_count_the_day(ledger: SqlLedger, epoch: int) -> None:
    """FP-3.7 and the throttle: counters derive from stored decisions."""
    for day in (0, 1):
        for minute in range(2 + day):
            made = decision("IBM", at=NOW + timedelta(days=day, minutes=minute))
            ledger.store_cycle(epoch, NOW + timedelta(days=day, minutes=minute), [made], {})
    (last,) = ledger.last_entries(NOW + timedelta(days=1, minutes=5))
    assert (last.market_time, last.entries_today) == (NOW + timedelta(days=1, minutes=2), 3)


def test_what_was_kept_of_one_version_is_not_used_for_another(ledger: SqlLedger, epoch: int) -> None:
    """A snapshot is kept for the next cycle: limits still see what was written since, in the same transaction too."""
    check = enforcer(Limits())
    mine, theirs = decision("IBM"), decision("IBM", strategy="etf")
    ledger.snapshot(NOW)
    with ledger.session.transaction():
        ledger.store_cycle(epoch, NOW, [mine], {mine.signal_id: entry(mine)}, check)
        (ruled,) = ledger.store_cycle(epoch, NOW, [theirs], {theirs.signal_id: entry(theirs)}, check).decisions
    assert ruled.reason == "SYMBOL_OWNED"

    def undone() -> None:
        with ledger.session.transaction():
            ledger.set_strategy_state(epoch, NOW, "sma", "stopped")
            ledger.snapshot(NOW)
            ledger.intent("none")

    with pytest.raises(UnknownRow):
        undone()
    assert [row.state for row in ledger.snapshot(NOW).strategies] == ["running", "running"]
    later = decision("BAC", at=NOW + MINUTE)
    (ruled,) = ledger.store_cycle(epoch, NOW + MINUTE, [later], {later.signal_id: entry(later)}, check).decisions
    assert ruled.allowed
