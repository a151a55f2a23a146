"""What has gone wrong in other trading systems, lived through here: each a plan of the world, and what must hold in it.

The plans fix the faults and the workload; the seed decides the market and the schedule. Beside the invariants each
incident has an expectation of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holdfast_simulation import expectations
from holdfast_simulation.plan_writing import (
    AGAIN_AND_AGAIN,
    ENTRY,
    IN_AND_OUT,
    SYMBOL,
    both_crash,
    fault,
    on_calls,
    plan,
)
from holdfast_simulation.world.faults import READS, WRITES, Kind
from holdfast_simulation.world.plans import Plan
from holdfast_simulation.world.run import Outcome, World, run

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


# --- the incidents

LOST_AT_THE_STOP = (
    fault(0, Kind.PRICE_FALLS, SYMBOL, 9.0, 9.1),
    fault(1, Kind.UPDATE_LOST, "updates", 8.9, 16.0),
)
INCIDENTS = (
    Incident(
        name="warm-restart",
        source="nautilus#4736",
        happened="A warm restart invented an opposite fill.",
        plan=plan(2, both_crash(0, 11.0, 12.0), ENTRY),
        holds=expectations.restart_sells_nothing,
    ),
    Incident(
        name="old-position",
        source="nautilus#3104",
        happened="A position older than the lookback blocked the start.",
        plan=plan(2, [*both_crash(0, 11.0, 12.0), fault(2, Kind.SHORT_MEMORY, "broker", 10.5, 25.0)], ENTRY),
        holds=expectations.starts_without_history,
    ),
    Incident(
        name="flat-at-the-venue",
        source="nautilus#3622",
        happened="The check of positions never converged when the venue was flat.",
        plan=plan(
            3,
            [fault(0, Kind.PRICE_FALLS, SYMBOL, 9.0, 9.1), fault(1, Kind.UPDATES_MUTE, "updates", 8.0, 14.0)],
            ENTRY,
        ),
        holds=expectations.converges_flat,
    ),
    Incident(
        name="replayed-fills",
        source="nautilus#3046, nautilus#3878",
        happened="Fills were replayed, or had other ids, after a restart.",
        plan=plan(
            5,
            [*both_crash(0, 7.0, 8.0), *both_crash(2, 14.0, 15.0), *both_crash(4, 21.0, 22.0)],
            IN_AND_OUT,
        ),
        holds=expectations.restarts,
    ),
    Incident(
        name="doubled-partial-fills",
        source="nautilus#3476",
        happened="Partial fills were counted twice.",
        plan=plan(23, [fault(0, Kind.UPDATE_DOUBLED, "updates", 1.0, 30.0)], AGAIN_AND_AGAIN),
        holds=expectations.parts,
    ),
    Incident(
        name="dns-outage",
        source="hummingbot#8457",
        happened="An outage of DNS marked live orders as failed; what they bought was sold short.",
        plan=plan(
            2,
            [
                fault(0, Kind.LOST_AFTER, "submit_order", 4.0, 5.0),
                *on_calls(Kind.NOT_CONNECTED, WRITES + READS, 5, 13),
            ],
            ENTRY,
        ),
        holds=expectations.outage_buries_nothing,
    ),
    Incident(
        name="ghost-orders",
        source="hummingbot#493, hummingbot#3374",
        happened="Timeouts of orders and cancels left ghosts that filled later.",
        plan=plan(
            4,
            [
                fault(0, Kind.ACCEPTED_LATE, "submit_order", 4.0, 12.0),
                fault(1, Kind.LOST_AFTER, "cancel_order", 4.0, 20.0),
            ],
            AGAIN_AND_AGAIN,
        ),
        holds=expectations.ghosts_are_ours,
    ),
    Incident(
        name="refusal-loop",
        source="hummingbot#462",
        happened="A loop over an insufficient balance used up the venue's daily limit of orders.",
        plan=plan(6, [fault(0, Kind.REFUSED, "submit_order", 4.0, 25.0)], AGAIN_AND_AGAIN),
        holds=expectations.refusals_end,
    ),
    Incident(
        name="cancelled-in-part",
        source="freqtrade#11461",
        happened="A partial fill was reported as cancelled, and the entry was made again.",
        plan=plan(7, [fault(0, Kind.UPDATE_LOST, "updates", 4.0, 20.0)], AGAIN_AND_AGAIN),
        holds=expectations.one_entry_at_a_time,
    ),
    Incident(
        name="stop-filled-unseen",
        source="freqtrade#6392",
        happened="A stop filled at the venue, and the trade stayed open.",
        plan=plan(3, LOST_AT_THE_STOP, ENTRY),
        holds=expectations.converges_flat,
    ),
    Incident(
        name="stale-prices",
        source="freqtrade#11725",
        happened="Candles were 5,148 minutes old until a person loaded them again.",
        plan=plan(9, [fault(0, Kind.PRICES_MUTE, SYMBOL, 4.1, 20.0)], AGAIN_AND_AGAIN),
        holds=expectations.stale_feed_buys_nothing,
    ),
    Incident(
        name="stream-down-and-throttled",
        source="Lean.Brokerages.Alpaca#28, Lean.Brokerages.Alpaca#37",
        happened="Fills were missed, requests stormed into 429, and orders were sent while the stream was down.",
        plan=plan(
            5,
            [
                fault(0, Kind.UPDATES_BROKEN, "updates", 5.0, 16.0),
                *on_calls(Kind.THROTTLED, ("submit_order", "orders", "fills", "order_by_client_id"), 8.0, 14.0),
            ],
            IN_AND_OUT,
        ),
        holds=expectations.no_entry_while_down,
    ),
    Incident(
        name="one-frame-dropped",
        source="reports of retail bots",
        happened="One fill's frame was dropped on a healthy stream, and the position was liquidated again and again.",
        plan=plan(5, [fault(0, Kind.UPDATE_LOST, "updates", 8.0, 12.0)], IN_AND_OUT),
        holds=expectations.sold_once,
    ),
    Incident(
        name="fills-lost-at-disconnect",
        source="reports of retail bots",
        happened="Fills of the moment of a disconnect were never recovered.",
        plan=plan(
            3,
            [fault(0, Kind.PRICE_FALLS, SYMBOL, 9.0, 9.1), fault(1, Kind.UPDATES_BROKEN, "updates", 5.0, 14.0)],
            ENTRY,
        ),
        holds=expectations.converges_flat,
    ),
    Incident(
        name="mute-stream",
        source="alpaca-py#740",
        happened="The stream was open, and mute.",
        plan=plan(5, [fault(0, Kind.UPDATES_MUTE, "updates", 5.0, 28.0)], IN_AND_OUT),
        holds=expectations.mute_is_noticed,
    ),
)


def named(name: str) -> Incident:
    """Raises KeyError."""
    return {incident.name: incident for incident in INCIDENTS}[name]
