"""What execution's sentinel looks at: the lease, the broker session, orders, protection, halts and the ledger.

Everything is read from what the engine knows already; only the outbox and the ledger's revision are asked for.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from holdfast_catalogue.gauges import Ages, Growth, Lasting, total, values
from holdfast_catalogue.registry import point
from holdfast_catalogue.sentinel import Detector, Watch
from holdfast_catalogue.standing import Finding, Status, error, ok, warn
from holdfast_core.instruments import lot_of
from holdfast_core.money import ZERO
from holdfast_execution.books import Mirror
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.strategies import SAFETY_ABORT, StrategyState
from holdfast_execution.engine import Engine
from holdfast_execution.lease import LeaseKeeper
from holdfast_execution.ledger import LedgerRunner
from holdfast_execution.rows import HaltRow, PositionRow
from holdfast_execution.service import RECONCILIATION
from holdfast_runtime.errors import Retry
from holdfast_runtime.ledger_halts import CREDENTIALS, KILL_SWITCH
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import metrics

KINDS = frozenset({KILL_SWITCH, CREDENTIALS, SAFETY_ABORT, RECONCILIATION})
"""Kinds of halts that are shown as 0 too."""
POINTS_OF_THEIR_OWN = frozenset({KILL_SWITCH, CREDENTIALS, SAFETY_ABORT})
SALES = frozenset({"exit", "monitor", "flatten"})
"""Owners of an exit under way: the stop is down on purpose."""
SALE_SECS = 30.0
"""A sale that has not ended by then protects nothing: it hangs, unanswered or unfilled."""
RESTING = frozenset({IntentState.ACKED, IntentState.PARTIALLY_FILLED})
LEASE_SECS = 5.0
LOCKED_SECS = 10.0
STREAM_SECS = 5.0
CIRCUIT_SECS = 30.0
UNKNOWN_SECS = 60.0
LATELY_SECS = 300.0
REJECTED_TO_ALARM = 5
OUTBOX_TO_WARN_SECS, OUTBOX_TO_ALARM_SECS = 10.0, 60.0
OUTBOX_EVERY_SECS = 5.0
LEDGER_EVERY_SECS = 60.0
REFUSED_LATELY_SECS = 300.0
MAX_TOLD = 5


def watches(
    engine: Engine, *, lease: LeaseKeeper, runner: LedgerRunner, settings: Settings, monotonic: MonotonicClock
) -> list[Watch]:
    """One watch for each of execution's points."""
    stream_up = Lasting(monotonic)

    def watch(name: str, detect: Detector, every_secs: float = 0.0) -> Watch:
        return Watch(point=point(name), detect=detect, every_secs=every_secs)

    return [
        watch("lease.lost", _lease_lost(lease, Lasting(monotonic))),
        watch("lease.standby", lambda: _standby(lease)),
        watch("entries.locked", _locked(engine, lease, Lasting(monotonic))),
        watch("broker.stream_down", _stream_down(engine, lease, stream_up)),
        watch("broker.circuit_open", _circuit(Lasting(monotonic))),
        watch("credentials.refused", lambda: _credentials(engine)),
        watch("order.unknown", _unknown(engine, Ages(monotonic))),
        watch("order.rejected", _rejected(monotonic)),
        watch("position.unprotected", _unprotected(engine, monotonic, settings.execution.protection_bound_secs)),
        watch("position.flattened", _flattened(monotonic)),
        watch("schedule.late", _late(monotonic)),
        watch("strategy.aborted", lambda: _aborted(engine)),
        watch("halt.standing", lambda: _standing(engine)),
        watch("outbox.behind", _outbox(runner, lease, Ages(monotonic)), OUTBOX_EVERY_SECS),
        watch("ledger.incompatible", _incompatible(runner, monotonic), LEDGER_EVERY_SECS),
    ]


async def _seen(engine: Engine) -> Mirror:
    """The newest state: the engine's own loops may rest, as they do while credentials are refused. What was seen last
    while the ledger does not answer, which is a point of its own."""
    if not engine.books.tenure.is_holder:
        return engine.books.last_seen
    try:
        return await engine.books.look()
    except Retry:
        return engine.books.last_seen


def _of_the_holder(engine: Engine, count: int) -> int:
    """What a gauge shows: a standby knows of nothing, and what it last saw may be long over."""
    return count if engine.books.tenure.is_holder else 0


def _lasting(secs: float, bound_secs: float, text: str, **shown: object) -> Finding:
    """WARN at once, ERROR from the bound on."""
    return error(text, **shown) if secs >= bound_secs else warn(text, **shown)


# --- the lease and the session


def _lease_lost(lease: LeaseKeeper, lost: Lasting) -> Callable[[], Finding]:
    def detect() -> Finding:
        elsewhere = not lease.epoch and bool(lease.holder)
        secs = lost(not lease.is_holder and not elsewhere)
        if lease.is_holder:
            return ok(f"held in epoch {lease.epoch}", epoch=lease.epoch, margin_secs=f"{lease.margin_secs:.1f}")
        if elsewhere:
            return ok(f"held by {lease.holder}")
        why = "beats do not commit" if lease.epoch else "nobody holds it"
        return _lasting(secs, LEASE_SECS, f"{why}, for {secs:.0f} s", epoch=lease.epoch)

    return detect


def _standby(lease: LeaseKeeper) -> Finding:
    if lease.epoch or not lease.holder:
        return ok("this process does not stand by")
    return warn(f"stands by for {lease.holder}", holder=lease.holder)


def _locked(engine: Engine, lease: LeaseKeeper, locked: Lasting) -> Callable[[], Finding]:
    def detect() -> Finding:
        reason = engine.books.locked_reason if lease.is_holder else ""
        secs = locked(bool(reason))
        if not reason:
            return ok("entries are taken" if lease.is_holder else "another process decides")
        return _lasting(secs, LOCKED_SECS, f"{reason}, for {secs:.0f} s", reason=reason)

    return detect


def _stream_down(engine: Engine, lease: LeaseKeeper, down: Lasting) -> Callable[[], Finding]:
    def detect() -> Finding:
        is_down = lease.is_holder and not engine.stream_up
        secs = down(is_down)
        if not is_down:
            return ok("connected and merged" if lease.is_holder else "another process listens")
        return _lasting(secs, STREAM_SECS, f"down for {secs:.0f} s")

    return detect


def _circuit(open_for: Lasting) -> Callable[[], Finding]:
    def detect() -> Finding:
        is_open = bool(values(metrics.VENUE_CIRCUIT_OPEN, "system").get("broker"))
        secs = open_for(is_open)
        if not is_open:
            return ok("the broker answers")
        return _lasting(secs, CIRCUIT_SECS, f"open for {secs:.0f} s: only stops, cancels and exits are tried")

    return detect


def _credentials(engine: Engine) -> Finding:
    if engine.guard.shut:
        return error("the broker answered 401: no call goes through")
    return ok("the broker takes the credentials")


# --- orders and positions


def _unknown(engine: Engine, ages: Ages) -> Callable[[], Awaitable[Finding]]:
    async def detect() -> Finding:
        intents = (await _seen(engine)).intents
        found = ages(each.client_order_id for each in intents if each.state is IntentState.UNKNOWN)
        metrics.UNKNOWN_OUTCOMES.set(_of_the_holder(engine, len(found)))
        if not found:
            return ok("every outcome is known", unknown=0)
        oldest = max(found.values())
        told = ", ".join(sorted(found)[:MAX_TOLD])
        return _lasting(oldest, UNKNOWN_SECS, f"{told}; the oldest for {oldest:.0f} s", unknown=len(found))

    return detect


def _rejected(monotonic: MonotonicClock) -> Callable[[], Finding]:
    orders = Growth(lambda: total(metrics.ORDERS, state=IntentState.REJECTED), monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        count = orders()
        text = f"{count:.0f} orders rejected lately"
        if count >= REJECTED_TO_ALARM:
            return error(text, rejected=f"{count:.0f}")
        return warn(text, rejected=f"{count:.0f}") if count else ok("none was rejected lately", rejected="0")

    return detect


def _unprotected(engine: Engine, monotonic: MonotonicClock, bound_secs: float) -> Callable[[], Awaitable[Finding]]:
    bare_ages, sale_ages = Ages(monotonic), Ages(monotonic)

    async def detect() -> Finding:
        mirror = await _seen(engine)
        held = [each for each in mirror.positions.values() if each.quantity]
        open_ = sorted((each for each in held if not _protected(each, mirror)), key=lambda each: each.symbol)
        bare = bare_ages(each.symbol for each in open_ if not _sold(each, mirror))
        sold = sale_ages(each.symbol for each in open_ if _sold(each, mirror))
        hanging = sum(secs >= SALE_SECS for secs in sold.values())
        metrics.POSITIONS.set(_of_the_holder(engine, len(held)))
        metrics.UNPROTECTED_POSITIONS.set(_of_the_holder(engine, len(bare) + hanging))
        shown = {"held": len(held), "unprotected": len(open_)}
        if not open_:
            return ok(f"{len(held)} positions, each with its stop", **shown)
        text = ", ".join(_told(each, bare, sold) for each in open_[:MAX_TOLD])
        late = hanging or any(secs >= bound_secs for secs in bare.values())
        return error(text, **shown) if late else warn(text, **shown)

    return detect


def _flattened(monotonic: MonotonicClock) -> Callable[[], Finding]:
    fills = Growth(lambda: total(metrics.FILLS, purpose=Purpose.FLATTEN), monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        count = fills()
        if count:
            return error(f"{count:.0f} fills of protective sales lately", fills=f"{count:.0f}")
        return ok("no position was flattened lately", fills="0")

    return detect


def _late(monotonic: MonotonicClock) -> Callable[[], Finding]:
    late = Growth(lambda: total(metrics.TIMED_TRADES, outcome="late"), monotonic, within_secs=LATELY_SECS)
    missed = Growth(lambda: total(metrics.TIMED_TRADES, outcome="missed"), monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        sales, buys = late(), missed()
        shown = {"late_sales": f"{sales:.0f}", "missed_buys": f"{buys:.0f}"}
        if sales or buys:
            return error(f"lately {sales:.0f} timed sales ran late and {buys:.0f} timed buys were missed", **shown)
        return ok("every timed trade came in time", **shown)

    return detect


def _protected(position: PositionRow, mirror: Mirror) -> bool:
    """As the protective lane noted it, and as the stops stand: the lane may be in the middle of a send."""
    return position.protection == "active" and _covered(position, mirror, Purpose.STOP)


def _sold(position: PositionRow, mirror: Mirror) -> bool:
    """In the stop's place, or a part of it beside the stop of the rest (SY-2)."""
    in_part = not _covered(position, mirror, Purpose.STOP) and _covered(position, mirror, Purpose.STOP, Purpose.REDUCE)
    return position.exit_owner in SALES or in_part


def _covered(position: PositionRow, mirror: Mirror, *purposes: Purpose) -> bool:
    orders = [each for each in mirror.of_symbol(position.symbol) if each.purpose in purposes]
    covered = sum((each.remaining for each in orders if each.state in RESTING), ZERO)
    # Shares are protected whole, coins to the last one that an order may be about; dust cannot be.
    return covered >= lot_of(position.book).tradable(position.quantity)


def _told(position: PositionRow, bare: dict[str, float], sold: dict[str, float]) -> str:
    """The maps: for how many seconds, by symbol."""
    seller = position.exit_owner if position.exit_owner in SALES else "a reduction"
    since = f"{seller} is selling for" if position.symbol in sold else "for"
    secs = (bare | sold)[position.symbol]
    return f"{position.symbol} {position.quantity:f} ({position.protection or 'none'}, {since} {secs:.0f} s)"


# --- halts


async def _aborted(engine: Engine) -> Finding:
    mirror = await _seen(engine)
    found = {each.strategy: each.reason for each in mirror.halts if each.kind == SAFETY_ABORT}
    found |= {row.strategy: row.reason for row in mirror.strategies.values() if row.state == StrategyState.FAILED}
    if not found:
        return ok("no strategy is aborted")
    told = [f"{strategy}: {reason}" for strategy, reason in sorted(found.items())]
    return error("; ".join(told[:MAX_TOLD]), strategies=str(len(told)))


async def _standing(engine: Engine) -> Finding:
    halts = (await _seen(engine)).halts
    counts = Counter(each.kind for each in halts)
    for kind in {*KINDS, *counts, *values(metrics.HALTS, "kind")}:
        metrics.HALTS.labels(kind=kind).set(_of_the_holder(engine, counts[kind]))
    found = [each for each in halts if each.kind not in POINTS_OF_THEIR_OWN]
    if not found:
        return ok("nothing is halted")
    whole = any(not each.symbol and not each.strategy for each in found)
    return _halted(Status.ERROR if whole else Status.WARN, found)


def _halted(status: Status, halts: Iterable[HaltRow]) -> Finding:
    told = [f"{each.strategy or each.symbol or 'the account'}: {each.reason}" for each in halts]
    return Finding(status, "; ".join(told[:MAX_TOLD]), {"halts": str(len(told))})


# --- the ledger


def _outbox(runner: LedgerRunner, lease: LeaseKeeper, ages: Ages) -> Callable[[], Awaitable[Finding]]:
    async def detect() -> Finding:
        if not lease.is_holder:
            metrics.OUTBOX_AGE.set(0)
            return ok("another process publishes")
        rows = await runner.read(lambda ledger: ledger.unpublished(1))
        found = ages(str(row.event_id) for row in rows)
        secs = max(found.values(), default=0.0)
        metrics.OUTBOX_AGE.set(secs)
        if not found:
            return ok("everything is published")
        text = f"event {rows[0].event_id} has waited for {secs:.0f} s"
        if secs < OUTBOX_TO_WARN_SECS:
            return ok(text)
        return _lasting(secs, OUTBOX_TO_ALARM_SECS, text, oldest_event=rows[0].event_id)

    return detect


def _incompatible(runner: LedgerRunner, monotonic: MonotonicClock) -> Callable[[], Awaitable[Finding]]:
    refused = Growth(lambda: total(metrics.REVISIONS_INCOMPATIBLE), monotonic, within_secs=REFUSED_LATELY_SECS)

    async def detect() -> Finding:
        count = refused()
        if reason := await runner.read(lambda ledger: ledger.compatible()):
            return error(reason)
        if count:
            return error(
                f"entries of {count:.0f} batches refused: the gate is of another release", batches=f"{count:.0f}"
            )
        return ok("program, ledger and gate fit")

    return detect
