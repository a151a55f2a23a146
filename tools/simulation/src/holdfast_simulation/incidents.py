"""What has gone wrong in other trading systems, lived through here: each a plan of the world, and what must hold in it.

The plans fix the faults and the workload; the seed decides the market and the schedule. Beside the invariants each
incident has an expectation of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from holdfast_simulation import expectations
from holdfast_simulation.world.faults import READS, WRITES, Fault, Kind
from holdfast_simulation.world.plans import Plan
from holdfast_simulation.world.run import Outcome, World, run
from holdfast_simulation.world.workload import CyclePlan, Wish

SPEED = 30.0
CHAOS_SECS = 30.0
SYMBOL = "BAC"

Expectation = Callable[[World], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """`source` is the report, `happened` what became of the peer, `holds` what must be true here in `plan`."""

    name: str
    source: str
    happened: str
    plan: Plan
    holds: Expectation

    def live(self) -> Outcome:
        """Its story. A violation that begins with `expected` is the incident's own."""
        return run(self.plan, expect=self.holds)


# --- how a plan is written


def _plan(seed: int, faults: Iterable[Fault], cycles: Iterable[CyclePlan]) -> Plan:
    return Plan(
        seed=seed,
        speed=SPEED,
        chaos_secs=CHAOS_SECS,
        faults=tuple(sorted(faults, key=lambda fault: fault.at_secs)),
        cycles=tuple(sorted(cycles, key=lambda cycle: cycle.at_secs)),
    )


def _fault(number: int, kind: Kind, target: str, from_secs: float, until_secs: float) -> Fault:
    return Fault(
        number=number, kind=kind, target=target, at_secs=from_secs, lasts_secs=until_secs - from_secs, probability=1.0
    )


def _on_calls(kind: Kind, calls: Iterable[str], from_secs: float, until_secs: float) -> list[Fault]:
    return [_fault(100 + place, kind, call, from_secs, until_secs) for place, call in enumerate(calls)]


def _both_crash(number: int, from_secs: float, until_secs: float) -> list[Fault]:
    names = ("execution-0", "execution-1")
    return [_fault(number + n, Kind.CRASH, name, from_secs, until_secs) for n, name in enumerate(names)]


def _wants(number: int, at_secs: float, *, in_: bool = True, strategy: str = "alpha") -> CyclePlan:
    return CyclePlan(
        number=number,
        at_secs=at_secs,
        strategy=strategy,
        wishes=(Wish(symbol=SYMBOL, lean=0.0 if in_ else 0.99, weight=Decimal("0.1")),),
        valid_secs=60,
        stop_fraction=Decimal("0.03"),
    )


ENTRY = (_wants(0, 4.2),)
AGAIN_AND_AGAIN = tuple(_wants(number, 4.2 + number * 1.5) for number in range(16))
IN_AND_OUT = tuple(_wants(number, 4.2 + number * 2.2, in_=number % 3 != 2) for number in range(11))


# --- the incidents

LOST_AT_THE_STOP = (
    _fault(0, Kind.PRICE_FALLS, SYMBOL, 9.0, 9.1),
    _fault(1, Kind.UPDATE_LOST, "updates", 8.9, 16.0),
)
INCIDENTS = (
    Incident(
        name="warm-restart",
        source="nautilus#4736",
        happened="A warm restart invented an opposite fill.",
        plan=_plan(2, _both_crash(0, 11.0, 12.0), ENTRY),
        holds=expectations.restart_sells_nothing,
    ),
    Incident(
        name="old-position",
        source="nautilus#3104",
        happened="A position older than the lookback blocked the start.",
        plan=_plan(2, [*_both_crash(0, 11.0, 12.0), _fault(2, Kind.SHORT_MEMORY, "broker", 10.5, 25.0)], ENTRY),
        holds=expectations.starts_without_history,
    ),
    Incident(
        name="flat-at-the-venue",
        source="nautilus#3622",
        happened="The check of positions never converged when the venue was flat.",
        plan=_plan(
            3,
            [_fault(0, Kind.PRICE_FALLS, SYMBOL, 9.0, 9.1), _fault(1, Kind.UPDATES_MUTE, "updates", 8.0, 14.0)],
            ENTRY,
        ),
        holds=expectations.converges_flat,
    ),
    Incident(
        name="replayed-fills",
        source="nautilus#3046, nautilus#3878",
        happened="Fills were replayed, or had other ids, after a restart.",
        plan=_plan(
            5,
            [*_both_crash(0, 7.0, 8.0), *_both_crash(2, 14.0, 15.0), *_both_crash(4, 21.0, 22.0)],
            IN_AND_OUT,
        ),
        holds=expectations.restarts,
    ),
    Incident(
        name="doubled-partial-fills",
        source="nautilus#3476",
        happened="Partial fills were counted twice.",
        plan=_plan(23, [_fault(0, Kind.UPDATE_DOUBLED, "updates", 1.0, 30.0)], AGAIN_AND_AGAIN),
        holds=expectations.parts,
    ),
    Incident(
        name="dns-outage",
        source="hummingbot#8457",
        happened="An outage of DNS marked live orders as failed; what they bought was sold short.",
        plan=_plan(
            2,
            [
                _fault(0, Kind.LOST_AFTER, "submit_order", 4.0, 5.0),
                *_on_calls(Kind.NOT_CONNECTED, WRITES + READS, 5, 13),
            ],
            ENTRY,
        ),
        holds=expectations.outage_buries_nothing,
    ),
    Incident(
        name="ghost-orders",
        source="hummingbot#493, hummingbot#3374",
        happened="Timeouts of orders and cancels left ghosts that filled later.",
        plan=_plan(
            4,
            [
                _fault(0, Kind.ACCEPTED_LATE, "submit_order", 4.0, 12.0),
                _fault(1, Kind.LOST_AFTER, "cancel_order", 4.0, 20.0),
            ],
            AGAIN_AND_AGAIN,
        ),
        holds=expectations.ghosts_are_ours,
    ),
    Incident(
        name="refusal-loop",
        source="hummingbot#462",
        happened="A loop over an insufficient balance used up the venue's daily limit of orders.",
        plan=_plan(6, [_fault(0, Kind.REFUSED, "submit_order", 4.0, 25.0)], AGAIN_AND_AGAIN),
        holds=expectations.refusals_end,
    ),
    Incident(
        name="cancelled-in-part",
        source="freqtrade#11461",
        happened="A partial fill was reported as cancelled, and the entry was made again.",
        plan=_plan(7, [_fault(0, Kind.UPDATE_LOST, "updates", 4.0, 20.0)], AGAIN_AND_AGAIN),
        holds=expectations.one_entry_at_a_time,
    ),
    Incident(
        name="stop-filled-unseen",
        source="freqtrade#6392",
        happened="A stop filled at the venue, and the trade stayed open.",
        plan=_plan(3, LOST_AT_THE_STOP, ENTRY),
        holds=expectations.converges_flat,
    ),
    Incident(
        name="stale-prices",
        source="freqtrade#11725",
        happened="Candles were 5,148 minutes old until a person loaded them again.",
        plan=_plan(9, [_fault(0, Kind.PRICES_MUTE, SYMBOL, 4.1, 20.0)], AGAIN_AND_AGAIN),
        holds=expectations.stale_feed_buys_nothing,
    ),
    Incident(
        name="stream-down-and-throttled",
        source="Lean.Brokerages.Alpaca#28, Lean.Brokerages.Alpaca#37",
        happened="Fills were missed, requests stormed into 429, and orders were sent while the stream was down.",
        plan=_plan(
            5,
            [
                _fault(0, Kind.UPDATES_BROKEN, "updates", 5.0, 16.0),
                *_on_calls(Kind.THROTTLED, ("submit_order", "orders", "fills", "order_by_client_id"), 8.0, 14.0),
            ],
            IN_AND_OUT,
        ),
        holds=expectations.no_entry_while_down,
    ),
    Incident(
        name="one-frame-dropped",
        source="reports of retail bots",
        happened="One fill's frame was dropped on a healthy stream, and the position was liquidated again and again.",
        plan=_plan(5, [_fault(0, Kind.UPDATE_LOST, "updates", 8.0, 12.0)], IN_AND_OUT),
        holds=expectations.sold_once,
    ),
    Incident(
        name="fills-lost-at-disconnect",
        source="reports of retail bots",
        happened="Fills of the moment of a disconnect were never recovered.",
        plan=_plan(
            3,
            [_fault(0, Kind.PRICE_FALLS, SYMBOL, 9.0, 9.1), _fault(1, Kind.UPDATES_BROKEN, "updates", 5.0, 14.0)],
            ENTRY,
        ),
        holds=expectations.converges_flat,
    ),
    Incident(
        name="mute-stream",
        source="alpaca-py#740",
        happened="The stream was open, and mute.",
        plan=_plan(5, [_fault(0, Kind.UPDATES_MUTE, "updates", 5.0, 28.0)], IN_AND_OUT),
        holds=expectations.mute_is_noticed,
    ),
)


def named(name: str) -> Incident:
    """Raises KeyError."""
    return {incident.name: incident for incident in INCIDENTS}[name]
