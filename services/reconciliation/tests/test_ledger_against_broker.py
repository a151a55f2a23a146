"""What differs, and what evidence allows: each case as its requirement or its incident reads."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_reconciliation.domain.comparison import Action, Kind, compare, needs_look_up
from holdfast_reconciliation.domain.states import BrokerSide, Execution, Held, LedgerSide, Stage, Wish
from holdfast_reconciliation.verdict import after_evidence
from holdfast_runtime.ports.venue import BrokerOrder, FeeActivity, Side

NOON = datetime(2013, 10, 7, 16, 0, tzinfo=UTC)
OLD = NOON - timedelta(minutes=5)
YOUNG = timedelta(seconds=5)


def order(order_id="b1", symbol="SPY", *, status="new", side=Side.BUY, quantity=10, filled=0, **changes):
    values = {
        "order_id": order_id,
        "client_order_id": f"hf-{order_id}",
        "symbol": symbol,
        "side": side,
        "quantity": Decimal(quantity),
        "filled_quantity": Decimal(filled),
        "filled_average_price": None,
        "type": "limit",
        "time_in_force": "day",
        "status": status,
        "limit_price": None,
        "stop_price": None,
        "submitted_at": None,
        "updated_at": None,
    }
    return BrokerOrder(**{**values, **changes})


def stop(order_id="s1", symbol="SPY", *, quantity=10, status="new", **changes):
    return order(order_id, symbol, side=Side.SELL, quantity=quantity, status=status, stop_price=Decimal(95), **changes)


def wish(order_id="b1", symbol="SPY", *, stage=Stage.LIVE, sells=False, at=OLD):
    return Wish(
        intent_id=f"i-{order_id}",
        symbol=symbol,
        stage=stage,
        state=stage.name,
        client_order_id=f"hf-{order_id}",
        broker_order_id=order_id if stage in (Stage.LIVE, Stage.OVER) else "",
        sells=sells,
        updated_at=at,
    )


@dataclass
class Books:
    """Both sides, equal until a test makes them differ."""

    cash: Decimal = Decimal("1000.00")
    broker_cash: Decimal | None = None
    held: dict[str, int] = field(default_factory=dict)
    broker_held: dict[str, int] | None = None
    protected: bool = True
    held_at: datetime = OLD
    wishes: list[Wish] = field(default_factory=list)
    filled: dict[str, int] = field(default_factory=dict)
    halted: set[str] = field(default_factory=set)
    orders: list[BrokerOrder] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)

    def sides(self):
        broker_held = self.held if self.broker_held is None else self.broker_held
        ledger = LedgerSide(
            opened=True,
            version=7,
            cash=self.cash,
            held={
                symbol: Held(
                    symbol=symbol, quantity=Decimal(quantity), protected=self.protected, updated_at=self.held_at
                )
                for symbol, quantity in self.held.items()
            },
            wishes=self.wishes,
            filled={order_id: Decimal(quantity) for order_id, quantity in self.filled.items()},
            halted=frozenset(self.halted),
        )
        broker = BrokerSide(
            cash=self.cash if self.broker_cash is None else self.broker_cash,
            held={symbol: Decimal(quantity) for symbol, quantity in broker_held.items() if quantity},
            orders={each.order_id: each for each in self.orders},
            parents=self.parents,
            executions=self.executions,
            absent=frozenset(self.absent),
        )
        return ledger, broker

    def found(self):
        return [(each.kind, each.symbol, each.action) for each in self.differences()]

    def differences(self):
        return compare(*self.sides(), now=NOON, young=YOUNG)


def execution(order_id="b1", symbol="SPY", signed=10, cumulative=10):
    return Execution(order_id=order_id, symbol=symbol, signed=Decimal(signed), cumulative=Decimal(cumulative))


def test_equal_books_are_clean():
    """Invariant 14."""
    books = Books(held={"SPY": 10}, filled={"b1": 10}, executions=[execution()])
    books.wishes = [wish("b1", stage=Stage.OVER), wish("s1")]
    books.orders = [stop()]
    assert books.found() == []


# --- orders


def test_an_order_that_nobody_of_ours_sent_halts_its_symbol_until_it_is_claimed():
    """Invariant 14, FP-4.5."""
    books = Books(orders=[order("x", "TSLA", client_order_id="by hand")])
    assert books.found() == [(Kind.ORDER_FOREIGN, "TSLA", Action.HALT)]
    books.halted = {"TSLA"}
    assert books.found() == [(Kind.ORDER_FOREIGN, "TSLA", Action.WAIT)]


def test_an_order_with_our_mark_that_the_ledger_lost_is_adopted_first():
    """DC-1; peers: ghost orders after a timed-out create (hummingbot#493, #3374)."""
    assert Books(orders=[order("x")]).found() == [(Kind.ORDER_FOREIGN, "SPY", Action.ADOPT)]


def test_the_leg_of_a_known_order_and_the_successor_of_one_are_not_foreign():
    """Order protocol, protection and point 12: a leg's id is the broker's, a replacement is a new order."""
    books = Books(wishes=[wish("b1")], parents={"leg": "b1"})
    books.orders = [order("b1"), stop("leg", status="held", client_order_id="broker's own")]
    assert books.found() == []
    books = Books(wishes=[wish("s1")])
    books.orders = [stop("s1", status="replaced", replaced_by="s2"), stop("s2", client_order_id="", replaces="s1")]
    assert (Kind.ORDER_FOREIGN, "SPY", Action.HALT) not in books.found()


@pytest.mark.parametrize("client_order_id", ["broker's own", "hf-x"])
def test_a_stop_beside_its_replacement_that_is_on_its_way_is_one_stop(client_order_id: str):
    """Point 12: the old one lives until then, and may fill; both together protect what each of them does."""
    books = Books(held={"SPY": 10}, wishes=[wish("s2")])
    books.orders = [
        stop("s1", status="pending_replace", client_order_id=client_order_id),
        stop("s2", status="pending_new", replaces="s1"),
    ]
    assert books.found() == []
    books.orders = [replace(each, quantity=Decimal(9)) for each in books.orders]
    assert books.found() == [(Kind.STOP_MISSING, "SPY", Action.APPLY)], "one of them sells, not both"
    books.orders = [stop("s1", client_order_id=client_order_id), stop("s2", status="rejected", replaces="s1")]
    assert books.found() == [(Kind.ORDER_STATE_DIFFERS, "SPY", Action.APPLY)], "the rejected one is to be taken over"


def test_an_order_over_in_the_ledger_and_live_at_the_broker_is_a_zombie_to_be_taken_over():
    """Order protocol, point 8; peers: a DNS outage marks live orders failed (hummingbot#8457)."""
    books = Books(wishes=[wish("b1", stage=Stage.OVER)], orders=[order("b1")])
    assert books.found() == [(Kind.ORDER_STATE_DIFFERS, "SPY", Action.APPLY)]


def test_an_order_in_flight_is_left_to_its_own_look_up():
    """Invariant 11: unknown ends only on evidence, and execution gathers it."""
    books = Books(wishes=[wish("b1", stage=Stage.IN_FLIGHT)], orders=[order("b1")])
    assert books.found() == [(Kind.ORDER_STATE_DIFFERS, "SPY", Action.WAIT)]
    books.orders = []
    assert books.found() == []


@pytest.mark.parametrize("status", ["canceled", "expired", "rejected", "filled"])
def test_an_order_that_ended_at_the_broker_unnoticed_is_taken_over(status):
    """PT-3; peers: a lost frame (Lean.Brokerages.Alpaca#28)."""
    books = Books(wishes=[wish("b1")], orders=[order("b1", status=status)])
    assert books.found() == [(Kind.ORDER_STATE_DIFFERS, "SPY", Action.APPLY)]


@pytest.mark.parametrize("status", ["new", "accepted", "pending_review", "done_for_day", "held", "a new word"])
def test_a_word_that_does_not_prove_an_end_keeps_the_order_live(status):
    """Invariant 11."""
    assert Books(wishes=[wish("b1")], orders=[order("b1", status=status)]).found() == []


def test_only_orders_that_the_list_of_open_ones_lacks_are_asked_for():
    books = Books(wishes=[wish("b1"), wish("b2"), wish("b3", stage=Stage.OVER), wish("b4", stage=Stage.UNSENT)])
    books.orders = [order("b1")]
    assert needs_look_up(*books.sides()) == ["b2"]


def test_an_order_the_broker_does_not_know_is_waited_for_while_young_and_halted_after():
    """Invariant 11: one 404 is no evidence."""
    books = Books(wishes=[wish("b1", at=NOON - timedelta(seconds=4))], absent={"b1"})
    assert books.found() == [(Kind.ORDER_MISSING, "SPY", Action.WAIT)]
    books.wishes = [wish("b1")]
    assert books.found() == [(Kind.ORDER_MISSING, "SPY", Action.HALT)]


# --- fills and positions


def test_a_fill_dropped_on_a_healthy_stream_is_applied_and_explains_position_and_cash():
    """FP-4.5; peers 13: one dropped frame must not end in a liquidation loop."""
    books = Books(broker_held={"SPY": 10}, broker_cash=Decimal("0.00"), executions=[execution()])
    books.wishes = [wish("b1")]
    books.orders = [order("b1", status="filled", filled=10)]
    assert books.found() == [
        (Kind.ORDER_STATE_DIFFERS, "SPY", Action.APPLY),
        (Kind.FILL_MISSING, "SPY", Action.APPLY),
        (Kind.POSITION_DIFFERS, "SPY", Action.APPLY),
        (Kind.CASH_DIFFERS, "", Action.APPLY),
    ]


def test_a_stop_that_filled_at_the_venue_while_nobody_listened_closes_the_position():
    """Peers 10: freqtrade#6392."""
    books = Books(held={"SPY": 10}, broker_held={}, filled={"b1": 10})
    books.executions = [execution(), execution("s1", signed=-10)]
    books.wishes = [wish("s1")]
    books.orders = [stop("s1", status="filled", filled=10)]
    found = books.found()
    assert (Kind.FILL_MISSING, "SPY", Action.APPLY) in found
    assert (Kind.POSITION_DIFFERS, "SPY", Action.APPLY) in found


def test_a_partial_fill_of_a_cancelled_order_is_counted():
    """Peers 9: freqtrade#11461, reported as cancelled, bought again."""
    books = Books(broker_held={"SPY": 4}, wishes=[wish("b1", stage=Stage.OVER)])
    books.executions = [execution(signed=4, cumulative=4)]
    assert books.found() == [(Kind.FILL_MISSING, "SPY", Action.APPLY), (Kind.POSITION_DIFFERS, "SPY", Action.APPLY)]


def test_fills_repeated_reordered_or_known_under_other_ids_are_no_difference():
    """Peers 4 and 5: nautilus#3046, #3878, #3476: keyed by order and cumulative quantity."""
    books = Books(held={"SPY": 10}, filled={"b1": 10}, wishes=[wish("s1")], orders=[stop()])
    books.executions = [execution(signed=6, cumulative=10), execution(signed=4, cumulative=4), execution(cumulative=10)]
    assert books.found() == []


def test_the_list_of_activities_may_be_behind_the_ledger():
    """Broker lists are late: the position is what tells."""
    books = Books(held={"SPY": 10}, filled={"b1": 10}, wishes=[wish("s1")], orders=[stop()])
    assert books.found() == []


def test_a_position_older_than_any_fill_that_was_asked_for_is_compared_as_it_is():
    """Peers 2: nautilus#3104, a position older than the lookback blocked the start."""
    books = Books(held={"SPY": 10}, wishes=[wish("s1")], orders=[stop()])
    assert books.found() == []


def test_an_order_whose_answer_is_outstanding_explains_cash_before_its_activity_is_listed():
    """FP-4.5: the list of activities is late, the order tells."""
    books = Books(broker_cash=Decimal("990.00"), wishes=[wish("b1", stage=Stage.IN_FLIGHT)])
    books.orders = [order("b1", status="partially_filled", filled=5)]
    assert (Kind.FILL_MISSING, "SPY", Action.APPLY) in books.found()
    assert (Kind.CASH_DIFFERS, "", Action.APPLY) in books.found()


def test_what_a_stop_fills_while_its_replacement_is_on_its_way_explains_cash_before_its_activity_is_listed():
    """FP-4.5; order protocol, point 12."""
    books = Books(broker_cash=Decimal("1190.00"), held={"SPY": 8}, wishes=[wish("s2")])
    books.orders = [
        stop("s1", status="pending_replace", filled=2),
        stop("s2", status="pending_new", replaces="s1", quantity=8),
    ]
    assert books.found()[:1] == [(Kind.FILL_MISSING, "SPY", Action.APPLY)]
    assert (Kind.CASH_DIFFERS, "", Action.APPLY) in books.found()


def test_an_intent_that_never_became_an_order_makes_no_old_fill_look_missing():
    """FP-4.5: the list of open orders tells of a long filled entry beside its stop, and the ledger of a refused one."""
    books = Books(held={"SPY": 10}, wishes=[wish("s1"), replace(wish("b2", stage=Stage.OVER), broker_order_id="")])
    books.orders = [order("b1", status="filled", filled=10), stop("s1")]
    books.parents = {"s1": "b1"}
    assert books.found() == []


def test_an_entry_that_filled_long_ago_explains_no_cash():
    """FP-4.5: listed beside its stop for as long as that rests, it is older than the fills that the ledger tells of."""
    books = Books(broker_cash=Decimal("990.00"), held={"SPY": 10}, wishes=[wish("s1")])
    books.orders = [order("b1", status="filled", filled=10), stop("s1")]
    books.parents = {"s1": "b1"}
    assert books.found() == [(Kind.CASH_DIFFERS, "", Action.HALT)]


def test_a_position_that_no_fill_explains_is_halted_and_no_opposite_fill_is_invented():
    """Peers 1: nautilus#4736."""
    books = Books(held={"SPY": 10}, broker_held={"SPY": 7}, wishes=[wish("s1")], orders=[stop()])
    books.orders = [stop(quantity=10)]
    assert books.found() == [(Kind.POSITION_DIFFERS, "SPY", Action.HALT)]


def test_a_position_that_is_gone_at_the_broker_is_seen_though_the_broker_lists_nothing():
    """Peers 3: nautilus#3622, the check never converged when the venue was flat."""
    books = Books(held={"SPY": 10}, broker_held={}, held_at=NOON)
    assert books.found() == [(Kind.POSITION_DIFFERS, "SPY", Action.HALT)]


def test_a_position_opened_by_hand_is_halted():
    """FP-4.5, invariant 14."""
    assert Books(broker_held={"TSLA": 3}).found() == [(Kind.POSITION_DIFFERS, "TSLA", Action.HALT)]


def test_more_sold_than_was_held_is_halted_although_both_sides_agree():
    """Invariant 8: two exits that both filled; no stop protects a short position, and nobody is asked to trade it."""
    assert Books(held={"SPY": -10}).found() == [(Kind.POSITION_SHORT, "SPY", Action.HALT)]


def test_a_fill_that_explains_only_a_part_does_not_explain_the_position():
    """Nothing is guessed."""
    books = Books(broker_held={"SPY": 10}, executions=[execution(signed=4, cumulative=4)])
    assert (Kind.POSITION_DIFFERS, "SPY", Action.HALT) in books.found()


def test_what_was_traded_on_the_account_before_us_is_no_difference():
    """A fresh ledger on an account with a history; peers 2."""
    books = Books(executions=[execution("old", signed=5, cumulative=5), execution("older", signed=-5, cumulative=5)])
    assert books.found() == []
    books.broker_held = {"SPY": 5}
    assert (Kind.FILL_MISSING, "SPY", Action.APPLY) in books.found()


# --- cash


def test_cash_is_compared_to_the_cent_and_to_the_brokers_own_digits():
    """Invariant 6."""
    assert Books(cash=Decimal("10.004"), broker_cash=Decimal("10.00")).found() == []
    assert Books(cash=Decimal(10), broker_cash=Decimal("10")).found() == []
    assert Books(cash=Decimal("10.01"), broker_cash=Decimal("10")).found() == [(Kind.CASH_DIFFERS, "", Action.HALT)]
    assert Books(cash=Decimal("10.004"), broker_cash=Decimal("10.0041")).found() != []


# --- stops


def test_a_position_without_an_active_stop_is_reported_once_it_is_not_young_any_more():
    """Invariant 7, TL-9."""
    books = Books(held={"SPY": 10}, protected=False, held_at=NOON - timedelta(seconds=4))
    assert books.found() == []
    books.held_at = OLD
    assert books.found() == [(Kind.STOP_MISSING, "SPY", Action.APPLY)]


@pytest.mark.parametrize(("resting", "found"), [(7, []), (6, [(Kind.STOP_MISSING, "SPY", Action.APPLY)])])
def test_beside_the_sale_of_a_part_the_rest_needs_its_stop(resting, found):
    """Invariant 7, SY-2: what sells a part excuses that part alone."""
    part = replace(wish("part"), part=Decimal(3))
    books = Books(held={"SPY": 10}, protected=False, wishes=[wish("s1"), part], orders=[stop(quantity=resting)])
    assert [each for each in books.found() if each[0] is Kind.STOP_MISSING] == found


@pytest.mark.parametrize("stage", [Stage.UNSENT, Stage.IN_FLIGHT, Stage.OVER])
def test_a_part_whose_sale_the_broker_does_not_have_is_bare(stage):
    """Invariant 7, SY-2: a part that waits, or whose sale nobody knows of, needs its stop as the rest does."""
    part = replace(wish("part"), stage=stage, part=Decimal(3))
    books = Books(held={"SPY": 10}, protected=False, wishes=[wish("s1"), part], orders=[stop(quantity=7)])
    assert (Kind.STOP_MISSING, "SPY", Action.APPLY) in books.found()
    whole = replace(books, protected=True, orders=[stop(quantity=10)])
    assert Kind.STOP_MISSING not in [each[0] for each in whole.found()]


@pytest.mark.parametrize(
    "resting", [[], [stop(status="held")], [stop(quantity=9)], [stop(status="canceled")], [order(side=Side.SELL)]]
)
def test_only_an_awake_stop_over_the_whole_quantity_protects(resting):
    """Invariant 7: a sleeping leg protects nothing yet."""
    books = Books(held={"SPY": 10}, wishes=[wish("s1", stage=Stage.OVER), wish("b1")], orders=resting)
    assert (Kind.STOP_MISSING, "SPY", Action.APPLY) in books.found()


def test_a_position_that_is_being_sold_needs_no_stop():
    """One owner of the exit."""
    books = Books(held={"SPY": 10}, wishes=[wish("e1", stage=Stage.UNSENT, sells=True)])
    assert books.found() == []


def test_a_fraction_of_a_share_needs_no_stop():
    """Protection of whole shares."""
    books = Books(held={"SPY": 0})
    ledger, broker = books.sides()
    half = Held(symbol="SPY", quantity=Decimal("0.5"), protected=False, updated_at=OLD)
    ledger = LedgerSide(
        version=1, opened=True, cash=ledger.cash, held={"SPY": half}, wishes=[], filled={}, halted=frozenset()
    )
    broker = BrokerSide(cash=broker.cash, held={"SPY": Decimal("0.5")}, orders={}, parents={}, executions=[])
    assert compare(ledger, broker, now=NOON, young=YOUNG) == []


# --- after evidence


def test_what_a_fresh_look_at_the_broker_did_not_settle_is_halted():
    """FP-4.5: halt on a critical mismatch."""
    books = Books(broker_held={"SPY": 10}, executions=[execution()])
    assert {each.action for each in after_evidence(books.differences(), frozenset())} == {Action.HALT}


def test_cash_and_stops_are_halted_only_where_the_next_round_finds_them_too():
    books = Books(cash=Decimal(5), held={"SPY": 10}, protected=False, broker_cash=Decimal(6))
    first = books.differences()
    assert {each.action for each in after_evidence(first, frozenset())} == {Action.WAIT}
    second = after_evidence(first, frozenset(each.key for each in first))
    assert {each.action for each in second} == {Action.HALT}


# --- properties


fills = st.lists(st.tuples(st.sampled_from(["b1", "b2", "b3"]), st.integers(1, 5)), max_size=12)


@given(fills=fills, known=st.integers(0, 12), seed=st.randoms(use_true_random=False))
def test_whatever_fills_the_ledger_missed_they_explain_the_position_in_any_order(fills, known, seed):
    """Invariant 6: position = sum of the signed fills; the order of the news changes nothing."""
    cumulative: dict[str, int] = {}
    told: list[tuple[str, int, int]] = []
    for order_id, quantity in fills:
        cumulative[order_id] = cumulative.get(order_id, 0) + quantity
        told.append((order_id, quantity, cumulative[order_id]))
    ledger_filled = {order_id: so_far for order_id, _, so_far in told[:known]}
    executions = [execution(order_id, "SPY", quantity, so_far) for order_id, quantity, so_far in told]
    seed.shuffle(executions)
    books = Books(
        held={"SPY": sum(ledger_filled.values())},
        broker_held={"SPY": sum(cumulative.values())},
        filled=ledger_filled,
        executions=executions,
        held_at=NOON,
        wishes=[wish(order_id, stage=Stage.OVER) for order_id in ("b1", "b2", "b3")],
    )
    missing = {each.subject for each in books.differences() if each.kind is Kind.FILL_MISSING}
    assert missing == {each for each, total in cumulative.items() if ledger_filled.get(each, 0) < total}
    positions = [each.action for each in books.differences() if each.kind is Kind.POSITION_DIFFERS]
    assert positions == ([Action.APPLY] if missing else [])


# --- fees


def fee(quantity="-0.0025", cash="0", activity_id="fee1"):
    return FeeActivity(
        activity_id=activity_id,
        kind="CFEE",
        symbol="BTC/USD",
        quantity=Decimal(quantity),
        cash=Decimal(cash),
        price=Decimal(100),
        at=NOON,
        description="",
    )


def test_a_fee_that_the_ledger_does_not_know_explains_what_is_missing_of_the_coins():
    """Invariant 6: execution is asked to read the broker again; to the last digit, or the symbol is halted."""
    books = Books(held={"BTC/USD": 1}, filled={"b1": 1})
    books.executions = [execution(symbol="BTC/USD", signed=1, cumulative=1)]
    ledger, broker = books.sides()
    broker = replace(broker, held={"BTC/USD": Decimal("0.9975")}, fees=(fee(),))
    found = compare(ledger, broker, now=NOON, young=YOUNG)
    kinds = {(each.kind, each.symbol, each.action) for each in found if each.kind is not Kind.STOP_MISSING}
    assert kinds == {
        (Kind.FEE_MISSING, "BTC/USD", Action.APPLY),
        (Kind.POSITION_DIFFERS, "BTC/USD", Action.APPLY),
    }
    off = replace(broker, held={"BTC/USD": Decimal("0.997499999")})
    assert any(
        each.kind is Kind.POSITION_DIFFERS and each.action is Action.HALT
        for each in compare(ledger, off, now=NOON, young=YOUNG)
    )


def test_a_fee_that_is_counted_is_no_difference_and_dust_needs_no_stop():
    """Invariants 7 and 14: below the smallest order nothing can be sold, so nothing can protect it."""
    books = Books(held={"BTC/USD": Decimal("0.00009")}, filled={"b1": Decimal("0.0000902")})
    ledger, broker = books.sides()
    ledger = replace(ledger, adjusted=frozenset({"fee1"}))
    broker = replace(broker, held={"BTC/USD": Decimal("0.00009")}, fees=(fee("-0.0000002"),))
    assert compare(ledger, broker, now=NOON, young=YOUNG) == []


def test_coins_are_protected_to_the_last_one():
    """Invariant 7: a stop for a part of them is not enough."""
    books = Books(held={"BTC/USD": Decimal("0.123456789")})
    ledger, broker = books.sides()
    broker = replace(broker, held={"BTC/USD": Decimal("0.123456789")})
    found = compare(ledger, broker, now=NOON, young=YOUNG)
    assert [(each.kind, each.broker_value) for each in found] == [(Kind.STOP_MISSING, "0 of 0.123456789")]
