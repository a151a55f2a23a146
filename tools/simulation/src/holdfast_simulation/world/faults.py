"""What can go wrong in the world, as a typed list that is drawn from the seed, shrunk, and replayed."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """One way in which something goes wrong. Its target is who it happens to."""

    # Calls between services; target: caller>service.
    REQUEST_LOST = "request_lost"
    REPLY_LOST = "reply_lost"
    CALL_DOUBLED = "call_doubled"
    CALL_DELAYED = "call_delayed"
    CONNECTION_RESET = "connection_reset"
    STREAM_BROKEN = "stream_broken"
    # Processes; target: the service.
    CRASH = "crash"
    PAUSE = "pause"
    CLOCK_JUMP = "clock_jump"
    """Its host's market clock is set forward or back by seconds to minutes, and right again at the fault's end."""
    # The ledger's database; target: the service.
    COMMIT_REFUSED = "commit_refused"
    COMMIT_UNHEARD = "commit_unheard"
    # Calls to the broker; target: the call.
    LOST_BEFORE = "lost_before"
    LOST_AFTER = "lost_after"
    ACCEPTED_LATE = "accepted_late"
    SLOW = "slow"
    MISMATCHED = "mismatched"
    THROTTLED = "throttled"
    NOT_FOUND = "not_found"
    NOT_CONNECTED = "not_connected"
    REFUSED = "refused"
    UNAUTHORISED = "unauthorised"
    SHORT_MEMORY = "short_memory"
    """The lists of orders and of fills go back no further than to the fault's own beginning."""
    # The stream of trade updates.
    UPDATE_LOST = "update_lost"
    UPDATE_DOUBLED = "update_doubled"
    UPDATE_DELAYED = "update_delayed"
    UPDATES_BROKEN = "updates_broken"
    UPDATES_MUTE = "updates_mute"
    # Prices.
    PRICES_MUTE = "prices_mute"
    FEED_DOWN = "feed_down"
    # The market and people.
    TRADING_HALT = "trading_halt"
    REPLACEMENT_HELD = "replacement_held"
    """The venue takes its time over replacements; those under way at the end are rejected, or come late."""
    PRICE_FALLS = "price_falls"
    SPLIT = "split"
    """Shares, orders and prices change together, in the middle of a session: harder than overnight."""
    KILL_SWITCH = "kill_switch"
    STRATEGY_STOPPED = "strategy_stopped"
    """A person stops the strategy, and starts it when that is over."""
    FOREIGN_ORDER = "foreign_order"
    # The bus between signal and scoring.
    CYCLE_AGAIN = "cycle_again"
    """A cycle is published once more, when the bus has forgotten its id."""
    BUS_AWAY = "bus_away"
    ACK_LOST = "ack_lost"
    STALE_READ = "stale_read"
    """A bucket answers as it was before its newest write."""
    # The day that is lived through; of the plan, and in no list of faults.
    CLOCKS_FORWARD = "clocks_forward"
    """The first session after the clocks of the exchange were put forward: it opens an hour earlier in UTC."""
    CLOCKS_BACK = "clocks_back"


SERVICES = ("execution-0", "execution-1", "gate", "reconciliation", "scoring", "signal")
EDGES = (
    "scoring>gate",
    "scoring>execution",
    "gate>execution",
    "gate>signal",
    "execution>signal",
    "reconciliation>execution",
)
WRITES = ("submit_order", "cancel_order", "replace_order")
READS = ("order_by_client_id", "order", "orders", "positions", "account", "asset", "clock", "fills", "fees")
SYMBOLS = ("BAC", "IBM", "SPY")

_TARGETS: dict[Kind, tuple[str, ...]] = {
    **dict.fromkeys(
        (Kind.REQUEST_LOST, Kind.REPLY_LOST, Kind.CALL_DOUBLED, Kind.CALL_DELAYED, Kind.CONNECTION_RESET), EDGES
    ),
    Kind.STREAM_BROKEN: ("gate>execution", "gate>signal", "execution>signal"),
    Kind.CRASH: SERVICES,
    Kind.PAUSE: SERVICES,
    Kind.COMMIT_REFUSED: ("execution-0", "execution-1"),
    Kind.COMMIT_UNHEARD: ("execution-0", "execution-1"),
    # What becomes of an order matters most, and is not asked for so often.
    **dict.fromkeys(
        (Kind.LOST_BEFORE, Kind.LOST_AFTER, Kind.NOT_CONNECTED, Kind.THROTTLED, Kind.SLOW),
        ("submit_order",) * 6 + WRITES + READS,
    ),
    Kind.ACCEPTED_LATE: ("submit_order",),
    Kind.MISMATCHED: ("submit_order",),
    Kind.REFUSED: ("submit_order",),
    Kind.NOT_FOUND: ("order_by_client_id",),
    Kind.UNAUTHORISED: ("broker",),
    Kind.SHORT_MEMORY: ("broker",),
    **dict.fromkeys(
        (Kind.UPDATE_LOST, Kind.UPDATE_DOUBLED, Kind.UPDATE_DELAYED, Kind.UPDATES_BROKEN, Kind.UPDATES_MUTE),
        ("updates",),
    ),
    Kind.PRICES_MUTE: SYMBOLS,
    Kind.FEED_DOWN: ("feed",),
    Kind.TRADING_HALT: SYMBOLS,
    Kind.PRICE_FALLS: SYMBOLS,
    Kind.KILL_SWITCH: ("account",),
    Kind.FOREIGN_ORDER: SYMBOLS,
    Kind.CYCLE_AGAIN: ("scoring",),
}
WEIGHTS = {
    Kind.UNAUTHORISED: 0.3,
    Kind.FOREIGN_ORDER: 0.3,
    Kind.REFUSED: 0.5,
    Kind.SHORT_MEMORY: 0.3,
    Kind.NOT_FOUND: 5.0,
    Kind.LOST_AFTER: 2.0,
    Kind.ACCEPTED_LATE: 2.0,
}
"""Drawn less often than the others, as they end most of what could still happen; or more, as they strike seldom."""
LONG_SECS = {Kind.CRASH: 6.0, Kind.PAUSE: 8.0, Kind.ACCEPTED_LATE: 20.0, Kind.KILL_SWITCH: 10.0, Kind.NOT_FOUND: 12.0}
"""Kinds whose windows are longer."""


MAX_STOPS = 3
FIRST_STOP = 1_000
"""Numbers of stops begin here."""
STOP_SECS = 4.0
MAX_HOLDS = 3
FIRST_HOLD = 2_000
"""Numbers of held replacements begin here."""
HOLD_SECS = 5.0
MAX_JUMPS = 2
FIRST_JUMP = 3_000
"""Numbers of jumps of clocks begin here."""
JUMP_SECS = 6.0
JUMPS_BY_SECS = (1.0, 5.0, 30.0, 120.0, 300.0)
"""Of market time."""


MAX_OF_THE_BUS = 2
FIRST_OF_THE_BUS = 5_000
"""Numbers of faults of the bus begin here."""
OF_THE_BUS = {Kind.BUS_AWAY: "bus", Kind.ACK_LOST: "scoring", Kind.STALE_READ: "weights"}
"""With their targets."""

FIRST_SPLIT = 4_000
"""Numbers of splits begin here."""
LIVES_WITH_A_SPLIT = 0.25
RATES = ((Decimal(2), Decimal(1)), (Decimal(7), Decimal(1)), (Decimal(3), Decimal(2)))
"""New shares for old ones. None makes fewer: the price of a minute ago would then be below every stop, which no night
leaves so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Between `at_secs` and `until_secs` it strikes each chance it has with `probability`. `number` names it for good:
    what it draws does not depend on which other faults there are."""

    number: int
    kind: Kind
    target: str
    at_secs: float
    lasts_secs: float
    probability: float

    @property
    def until_secs(self) -> float:
        """Its end, in virtual seconds."""
        return self.at_secs + self.lasts_secs

    def __str__(self) -> str:
        return (
            f"#{self.number} {self.kind} {self.target} {self.at_secs:.2f}-{self.until_secs:.2f} s p={self.probability}"
        )


def draw(chance: random.Random, *, count: int, within_secs: float) -> list[Fault]:
    """`count` faults that all end before `within_secs`."""
    # People, held replacements, clocks, splits and the bus are drawn apart, each by a function of its own.
    kinds = [kind for kind in Kind if kind in _TARGETS]
    weights = [WEIGHTS.get(kind, 1.0) for kind in kinds]
    found = []
    for number in range(count):
        [kind] = chance.choices(kinds, weights)
        lasts_secs = min(chance.expovariate(1 / LONG_SECS.get(kind, 2.5)) + 0.05, within_secs / 2)
        found.append(
            Fault(
                number=number,
                kind=kind,
                target=chance.choice(_TARGETS[kind]),
                at_secs=chance.uniform(0.5, within_secs - lasts_secs),
                lasts_secs=lasts_secs,
                probability=chance.choice((0.2, 0.6, 1.0)),
            )
        )
    return sorted(found, key=lambda fault: fault.at_secs)


def stops(chance: random.Random, strategies: Sequence[str], *, within_secs: float) -> list[Fault]:
    """When a person stops a strategy, and for how long: none to `MAX_STOPS`, all over before `within_secs`."""
    found = []
    for number in range(chance.randint(0, MAX_STOPS)):
        lasts_secs = min(chance.expovariate(1 / STOP_SECS) + 1.0, within_secs / 2)
        found.append(
            Fault(
                number=FIRST_STOP + number,
                kind=Kind.STRATEGY_STOPPED,
                target=chance.choice(strategies),
                at_secs=chance.uniform(0.5, within_secs - lasts_secs),
                lasts_secs=lasts_secs,
                probability=1.0,
            )
        )
    return found


def holds(chance: random.Random, *, within_secs: float) -> list[Fault]:
    """When the venue holds a symbol's replacements, and how likely it rejects them: none to `MAX_HOLDS`, all over
    before `within_secs`."""
    found = []
    for number in range(chance.randint(0, MAX_HOLDS)):
        lasts_secs = min(chance.expovariate(1 / HOLD_SECS) + 1.0, within_secs / 2)
        found.append(
            Fault(
                number=FIRST_HOLD + number,
                kind=Kind.REPLACEMENT_HELD,
                target=chance.choice(SYMBOLS),
                at_secs=chance.uniform(0.5, within_secs - lasts_secs),
                lasts_secs=lasts_secs,
                probability=chance.choice((0.0, 0.5, 1.0)),
            )
        )
    return found


def jumps(chance: random.Random, *, within_secs: float) -> list[Fault]:
    """When a host's clock jumps, and how likely forward: none to `MAX_JUMPS`; some stay off until everything heals."""
    found = []
    for number in range(chance.randint(0, MAX_JUMPS)):
        at_secs = chance.uniform(0.5, within_secs - 1.0)
        left_secs = within_secs - at_secs
        found.append(
            Fault(
                number=FIRST_JUMP + number,
                kind=Kind.CLOCK_JUMP,
                target=chance.choice(SERVICES),
                at_secs=at_secs,
                lasts_secs=chance.choice((left_secs, min(chance.expovariate(1 / JUMP_SECS) + 0.05, left_secs))),
                probability=chance.choice((0.0, 1.0)),
            )
        )
    return found


def splits(chance: random.Random, *, within_secs: float) -> list[Fault]:
    """A split of one symbol, in a part of the lives."""
    if chance.random() >= LIVES_WITH_A_SPLIT:
        return []
    return [
        Fault(
            number=FIRST_SPLIT + chance.randrange(len(RATES)),
            kind=Kind.SPLIT,
            target=chance.choice(SYMBOLS),
            at_secs=chance.uniform(0.5, within_secs - 1.0),
            lasts_secs=1.0,
            probability=1.0,
        )
    ]


def of_the_bus(chance: random.Random, *, within_secs: float) -> list[Fault]:
    """What befalls the bus: nothing to `MAX_OF_THE_BUS` faults, all over before `within_secs`."""
    found = []
    for number in range(chance.randint(0, MAX_OF_THE_BUS)):
        kind = chance.choice(tuple(OF_THE_BUS))
        lasts_secs = min(chance.expovariate(1 / 4.0) + 0.5, within_secs / 2)
        found.append(
            Fault(
                number=FIRST_OF_THE_BUS + number,
                kind=kind,
                target=OF_THE_BUS[kind],
                at_secs=chance.uniform(0.5, within_secs - lasts_secs),
                lasts_secs=lasts_secs,
                probability=chance.choice((0.2, 0.6, 1.0)),
            )
        )
    return found


def split_rates(fault: Fault) -> tuple[Decimal, Decimal]:
    """New shares for old ones."""
    return RATES[fault.number % len(RATES)]


def jump_secs(fault: Fault, *, seed: int) -> float:
    """By how much market time a clock is off while `fault` lasts: whenever it is asked, the same."""
    chance = random.Random(f"{seed} jump {fault.number}")
    by_secs = chance.choice(JUMPS_BY_SECS) * chance.uniform(0.5, 1.0)
    return by_secs if chance.random() < fault.probability else -by_secs


class Weather:
    """Says whether a fault strikes here and now, and counts how often each kind did."""

    def __init__(self, faults: Sequence[Fault], *, seed: int, now_secs: Callable[[], float]) -> None:
        self.faults = tuple(faults)
        self.fired: Counter[Kind] = Counter()
        self._now_secs = now_secs
        self._chances = {fault.number: random.Random(f"{seed} fault {fault.number}") for fault in faults}
        self._by_kind: dict[Kind, list[Fault]] = {}
        for fault in faults:
            self._by_kind.setdefault(fault.kind, []).append(fault)

    def strikes(self, kind: Kind, target: str) -> Fault | None:
        """The fault that strikes `target` now, None where there is none."""
        now_secs = self._now_secs()
        for fault in self._by_kind.get(kind, ()):
            if (
                fault.target == target
                and fault.at_secs <= now_secs < fault.until_secs
                and self._chances[fault.number].random() < fault.probability
            ):
                self.fired[kind] += 1
                return fault
        return None

    def holds(self, kind: Kind, target: str) -> bool:
        """True while a fault of that kind covers `target`, whatever its probability."""
        now_secs = self._now_secs()
        held = any(
            fault.target == target and fault.at_secs <= now_secs < fault.until_secs
            for fault in self._by_kind.get(kind, ())
        )
        if held:
            self.fired[kind] += 1
        return held

    def chance(self, fault: Fault) -> random.Random:
        """The random numbers of one fault."""
        return self._chances[fault.number]
