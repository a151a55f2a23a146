"""Plans that come close to one safeguard each: without it something does not hold (`make mutants`)."""

from dataclasses import dataclass, replace
from decimal import Decimal

from holdfast_simulation import expectations
from holdfast_simulation.incidents import Expectation
from holdfast_simulation.plan_writing import (
    BOUGHT_BY_THE_CLOCK,
    ENTRY,
    IN_AND_OUT,
    PART_SOLD,
    SOLD_BY_THE_CLOCK,
    SYMBOL,
    both_crash,
    fault,
    plan,
    wants,
)
from holdfast_simulation.world.faults import Fault, Kind
from holdfast_simulation.world.market import CLOCKS_BACK, CLOCKS_FORWARD
from holdfast_simulation.world.plans import ALL_DAY_SECS, Plan
from holdfast_simulation.world.run import Outcome, run
from holdfast_simulation.world.workload import Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`holds` is what must be true in `plan` beside the invariants."""

    name: str
    plan: Plan
    holds: Expectation = lambda _: ()

    def live(self) -> Outcome:
        """Its story."""
        return run(self.plan, expect=self.holds)


LONG = (wants(0, 4.2, valid_secs=600),)
MORE = (replace(wants(0, 4.2), wishes=(Wish(symbol=SYMBOL, lean=0.0, weight=Decimal("0.3")),)),)
TWO = (
    replace(
        wants(0, 4.2, strategy="beta", valid_secs=600),
        wishes=tuple(Wish(symbol=symbol, lean=0.0, weight=Decimal("0.1")) for symbol in (SYMBOL, "IBM")),
    ),
)


def _part_sold_while(what: str, *faults: Fault) -> Case:
    return Case(
        name=f"the sale of a part while {what}", plan=plan(4, faults, PART_SOLD), holds=expectations.part_sold_once
    )


CASES = (
    Case(
        name="an answer about another order",
        plan=plan(2, [fault(0, Kind.MISMATCHED, "submit_order", 4.0, 5.0)], ENTRY),
    ),
    Case(
        name="a kill switch before an entry that waits can leave",
        plan=plan(
            2,
            [
                fault(0, Kind.NOT_CONNECTED, "submit_order", 4.0, 12.0),
                fault(1, Kind.KILL_SWITCH, "account", 6.0, 25.0),
            ],
            LONG,
        ),
    ),
    Case(
        name="a sale by the clock whose commit nobody hears of",
        plan=plan(
            2,
            [fault(n, Kind.COMMIT_UNHEARD, f"execution-{n}", 7.9, 8.6) for n in (0, 1)],
            LONG,
            timed=SOLD_BY_THE_CLOCK,
            day=CLOCKS_FORWARD,
        ),
        holds=expectations.sold_by_the_clock,
    ),
    Case(
        name="a sale by the clock while nobody executes",
        plan=plan(2, both_crash(0, 7.0, 12.0), LONG, timed=SOLD_BY_THE_CLOCK),
        holds=expectations.sold_by_the_clock,
    ),
    Case(
        name="a sale by the clock over whose time the clocks jump, and back again",
        plan=plan(
            2,
            # Of these numbers seed 2 draws more than a minute.
            [fault(6 + n, Kind.CLOCK_JUMP, f"execution-{n}", 7.0, 7.6) for n in (0, 1)],
            LONG,
            timed=SOLD_BY_THE_CLOCK,
        ),
        holds=expectations.sold_by_the_clock,
    ),
    Case(
        name="a buy by the clock that cannot leave within its grace",
        plan=plan(
            2,
            [fault(0, Kind.NOT_CONNECTED, "submit_order", 4.0, 18.0)],
            (),
            timed=BOUGHT_BY_THE_CLOCK,
            day=CLOCKS_BACK,
        ),
    ),
    Case(
        name="a buy by the clock that a clock ahead of its time gives up",
        plan=plan(
            22,
            [
                # Of these numbers seed 22 draws more than the grace.
                *(fault(4 + n, Kind.CLOCK_JUMP, f"execution-{n}", 2.0, 5.2) for n in (0, 1)),
                fault(30, Kind.CALL_DELAYED, "gate>execution", 3.9, 4.6),
            ],
            (),
            timed=BOUGHT_BY_THE_CLOCK,
        ),
        holds=expectations.missed_buy_is_refused,
    ),
    Case(
        name="a split that is seen in the prices alone",
        plan=plan(
            2,
            [
                fault(1, Kind.SPLIT, SYMBOL, 10.0, 11.0),
                fault(50, Kind.UPDATE_LOST, "updates", 9.5, 16.0),
                fault(51, Kind.PAUSE, "reconciliation", 9.5, 16.0),
            ],
            LONG,
        ),
        holds=expectations.split_sells_nothing,
    ),
    Case(
        name="a split while nobody executes",
        plan=plan(2, [fault(1, Kind.SPLIT, SYMBOL, 10.0, 11.0), *both_crash(60, 9.0, 14.0)], LONG),
        holds=expectations.split_sells_nothing,
    ),
    Case(
        name="a split with a fraction that is paid out, and nobody hears of it",
        plan=plan(
            3,
            [fault(2, Kind.SPLIT, SYMBOL, 10.0, 11.0), fault(50, Kind.UPDATES_MUTE, "updates", 9.5, 14.0)],
            LONG,
        ),
        holds=expectations.split_sells_nothing,
    ),
    Case(
        name="a split of what somebody else holds",
        plan=plan(
            2,
            [fault(0, Kind.FOREIGN_ORDER, SYMBOL, 4.0, 5.0), fault(1, Kind.SPLIT, SYMBOL, 10.0, 11.0)],
            (),
        ),
        holds=expectations.split_of_others_is_theirs,
    ),
    Case(
        name="a kill switch between a decision and its commit",
        plan=plan(
            2,
            [
                fault(0, Kind.CALL_DELAYED, "gate>execution", 4.0, 5.0),
                fault(1, Kind.KILL_SWITCH, "account", 4.4, 25.0),
            ],
            LONG,
        ),
    ),
    Case(
        name="an entry that never arrives and expires",
        plan=plan(2, [fault(0, Kind.LOST_BEFORE, "submit_order", 4.0, 5.0)], ENTRY),
    ),
    Case(
        name="an answer that cannot be written down",
        plan=plan(
            2,
            [
                fault(0, Kind.LOST_BEFORE, "submit_order", 4.0, 5.0),
                fault(1, Kind.COMMIT_REFUSED, "execution-0", 6.1, 6.6),
            ],
            LONG,
        ),
    ),
    Case(
        name="an entry that rests and was answered to nobody",
        plan=plan(
            2,
            [
                fault(0, Kind.LOST_AFTER, "submit_order", 4.0, 5.0),
                fault(1, Kind.TRADING_HALT, SYMBOL, 4.0, 20.0),
                fault(2, Kind.UPDATE_LOST, "updates", 4.0, 20.0),
                # It would have all orders read.
                fault(3, Kind.CRASH, "reconciliation", 4.1, 25.0),
            ],
            ENTRY,
        ),
        holds=expectations.entry_ends_unfilled,
    ),
    Case(
        name="a fill while the stream is down",
        plan=plan(
            2,
            [fault(0, Kind.UPDATES_BROKEN, "updates", 5.5, 7.0), fault(1, Kind.CRASH, "reconciliation", 5.0, 25.0)],
            LONG,
        ),
        holds=expectations.reconnect_tells_of_the_fill,
    ),
    Case(
        name="an entry in a halted market that expires",
        plan=plan(2, [fault(0, Kind.TRADING_HALT, SYMBOL, 4.0, 20.0)], ENTRY),
        holds=expectations.entry_ends_unfilled,
    ),
    Case(
        name="a kill switch over an entry in a halted market",
        plan=plan(
            2,
            [fault(0, Kind.TRADING_HALT, SYMBOL, 4.0, 20.0), fault(1, Kind.KILL_SWITCH, "account", 6.0, 24.0)],
            LONG,
        ),
        holds=expectations.entry_ends_unfilled,
    ),
    Case(
        name="an entry that fills while the cancel of another one takes long",
        plan=plan(
            2,
            [
                fault(0, Kind.TRADING_HALT, SYMBOL, 4.0, 20.0),
                fault(1, Kind.TRADING_HALT, "IBM", 4.0, 7.5),
                fault(2, Kind.SLOW, "cancel_order", 6.0, 12.0),
                fault(3, Kind.KILL_SWITCH, "account", 7.0, 24.0),
            ],
            TWO,
        ),
    ),
    Case(
        name="keys that are refused for a while",
        plan=plan(
            2,
            [fault(0, Kind.LOST_BEFORE, "submit_order", 4.0, 6.0), fault(1, Kind.UNAUTHORISED, "broker", 6.0, 16.0)],
            LONG,
        ),
    ),
    Case(
        name="a lease that comes back while an order is looked for",
        plan=plan(
            2,
            [
                fault(0, Kind.LOST_BEFORE, "submit_order", 4.0, 14.0),
                # Its first holder has begun to ask for it, and goes on to where another one has sent it again.
                fault(1, Kind.LOST_BEFORE, "order_by_client_id", 6.0, 9.0),
                fault(2, Kind.PAUSE, "execution-0", 7.0, 13.0),
                fault(3, Kind.CRASH, "execution-1", 15.0, 26.0),
            ],
            (wants(0, 4.2, valid_secs=300),),
        ),
    ),
    Case(
        name="a cycle that comes twice",
        plan=plan(1, [fault(0, Kind.CALL_DOUBLED, "gate>execution", 4.0, 6.0)], LONG),
    ),
    Case(
        name="a sale that is refused as often as it is tried",
        plan=plan(
            2,
            [fault(0, Kind.REFUSED, "submit_order", 7.5, 16.0)],
            (wants(0, 4.2), wants(1, 8.0, in_=False)),
        ),
    ),
    Case(
        name="a stop that nobody knows of",
        plan=plan(3, [fault(0, Kind.LOST_BEFORE, "submit_order", 6.1, 13.0)], ENTRY),
        holds=expectations.unknown_stop_is_not_waited_for,
    ),
    _part_sold_while("its smaller stop never arrives", fault(0, Kind.LOST_BEFORE, "replace_order", 10.0, 12.0)),
    _part_sold_while("nobody hears of its smaller stop", fault(0, Kind.LOST_AFTER, "replace_order", 10.0, 12.0)),
    _part_sold_while("its smaller stop comes late", fault(0, Kind.ACCEPTED_LATE, "replace_order", 10.0, 12.0)),
    _part_sold_while(
        "its smaller stop takes its time", replace(fault(0, Kind.REPLACEMENT_HELD, SYMBOL, 9.5, 12.0), probability=0.0)
    ),
    _part_sold_while("its smaller stop is rejected later", fault(0, Kind.REPLACEMENT_HELD, SYMBOL, 9.5, 12.0)),
    _part_sold_while("nobody hears of it", fault(0, Kind.LOST_AFTER, "submit_order", 10.0, 12.0)),
    _part_sold_while("it comes late", fault(0, Kind.ACCEPTED_LATE, "submit_order", 10.0, 12.0)),
    _part_sold_while("nobody executes", *both_crash(0, 10.2, 13.0)),
    _part_sold_while(
        "its commits are not heard of", *(fault(n, Kind.COMMIT_UNHEARD, f"execution-{n}", 10.0, 11.0) for n in (0, 1))
    ),
    Case(
        name="a replaced stop whose replacement is rejected later",
        plan=plan(29, [fault(0, Kind.REPLACEMENT_HELD, SYMBOL, 4.0, 9.0)], ENTRY, sweep_secs=ALL_DAY_SECS),
        holds=expectations.old_stop_goes_on,
    ),
    Case(
        name="a replaced stop that fills in part before its replacement",
        plan=plan(
            29,
            [
                # Until 9.5 for what was asked for in the seventh second.
                replace(fault(0, Kind.REPLACEMENT_HELD, SYMBOL, 4.0, 7.5), probability=0.0),
                fault(1, Kind.PRICE_FALLS, SYMBOL, 7.0, 7.1),
                # Or the stop's price would be seen, and all be sold in its stead.
                fault(2, Kind.PRICES_MUTE, SYMBOL, 7.0, 20.0),
            ],
            MORE,
            sweep_secs=ALL_DAY_SECS,
        ),
        holds=expectations.successor_is_smaller,
    ),
    Case(
        name="a sale of all while nobody knows of the sale of a part",
        plan=plan(
            4,
            [
                fault(0, Kind.LOST_BEFORE, "submit_order", 10.0, 10.9),
                fault(1, Kind.LOST_BEFORE, "order_by_client_id", 10.0, 26.0),
            ],
            (*PART_SOLD, wants(2, 11.0, in_=False, strategy="beta", valid_secs=240)),
        ),
        holds=expectations.all_sold_beside_an_unknown_part,
    ),
    Case(
        name="a cycle whose calls to the gate are lost",
        plan=plan(2, [fault(0, Kind.REQUEST_LOST, "scoring>gate", 4.0, 9.0)], LONG),
    ),
    Case(
        name="a cycle that scoring has in hand when it crashes",
        plan=plan(
            2,
            [
                fault(0, Kind.REQUEST_LOST, "scoring>gate", 4.0, 9.0),
                fault(1, Kind.CRASH, "scoring", 6.0, 7.0),
            ],
            LONG,
        ),
    ),
    Case(
        name="a cycle that comes again and again, since nobody hears that it was decided",
        plan=plan(2, [fault(0, Kind.ACK_LOST, "scoring", 4.0, 12.0)], LONG),
    ),
    Case(
        name="a cycle that waits for the bus",
        plan=plan(
            2,
            [
                fault(0, Kind.BUS_AWAY, "bus", 4.0, 9.0),
                fault(1, Kind.STALE_READ, "weights", 10.0, 11.0),
                fault(2, Kind.CYCLE_AGAIN, "scoring", 12.0, 14.0),
            ],
            LONG,
        ),
    ),
    Case(
        name="a part that nobody hears of",
        plan=plan(
            23,
            [
                fault(0, Kind.UPDATE_LOST, "updates", 9.5, 10.5),
                # It would have the fills read again.
                fault(1, Kind.CRASH, "reconciliation", 9.0, 20.0),
            ],
            IN_AND_OUT,
        ),
        holds=expectations.next_part_tells_of_the_lost_one,
    ),
    Case(
        name="parts that are told twice",
        plan=plan(23, [fault(0, Kind.UPDATE_DOUBLED, "updates", 1.0, 30.0)], IN_AND_OUT),
    ),
)


def named(name: str) -> Case:
    """Raises KeyError."""
    return {case.name: case for case in CASES}[name]
