"""GREEN, YELLOW or RED, with every reason: is it safe to trade now.

It follows from the failure points of all services, and from what admin itself sees sooner than their reports.

GREEN: entries are taken. YELLOW: something limits trading. RED: a critical error, or a person, blocks entries.
Protective stops rest at the broker in every colour.
"""

from collections.abc import Sequence
from datetime import timedelta

from holdfast.failurepoint.v1 import failurepoint_pb2
from holdfast_admin.domain import board, formats, points, strategies, words
from holdfast_admin.domain.sources import Link, Sources
from holdfast_admin.domain.views import Light, MarketTime, Notice, PositionView, Reason
from holdfast_runtime.ledger_halts import KILL_SWITCH
from holdfast_runtime.settings import Settings

RECONCILIATION = "reconciliation"
STEADY_SECS = 1.5
"""A verdict must have been too old for so long: facts are on their way for a moment at any speed."""
BLOCKING = ("signal", "scoring", "gate", "execution", "papermarket", "nats")


def assess(
    sources: Sources,
    held: list[PositionView],
    market: MarketTime,
    settings: Settings,
    failure_points: Sequence[failurepoint_pb2.FailurePoint] = (),
) -> tuple[Light, list[Reason]]:
    """The status and its reasons, the gravest first."""
    reasons = [
        *_halts(sources),
        *_strategies(sources),
        *_services(sources),
        *_execution(sources),
        *_reconciliation(sources, market, settings),
        *_protection(held, market, settings),
        *_feed(sources),
    ]
    reasons += points.reasons(failure_points, reasons)
    order = {Light.RED: 0, Light.YELLOW: 1, Light.GREEN: 2}
    reasons.sort(key=lambda reason: order[reason.light])
    return (reasons[0].light if reasons else Light.GREEN), reasons


def _halts(sources: Sources) -> list[Reason]:
    found = []
    for halt in board.halts(sources):
        whole = not halt.symbol and not halt.strategy
        scope = "" if whole else " of " + " ".join(part for part in (halt.strategy, halt.symbol) if part)
        title = "The kill switch is engaged" if halt.kind == KILL_SWITCH else f"Halt{scope}: {words.halt(halt.kind)}"
        who = f"set by {halt.set_by} at {formats.day_clock(halt.since)}" if halt.set_by else ""
        unconfirmed = "" if halt.confirmed else "in the ledger, execution has not confirmed it yet"
        detail = "; ".join(part for part in (halt.reason, who, unconfirmed) if part)
        light = Light.RED if whole else Light.YELLOW
        found.append(Reason(light=light, code=halt.kind.upper(), text=title, detail=detail))
    return found


def _strategies(sources: Sources) -> list[Reason]:
    """Those that do not run; where a halt of theirs says why, it is said already."""
    halted = {halt.strategy for halt in board.halts(sources)}
    found = []
    for each in strategies.views(sources):
        if each.state == strategies.RUNNING or each.strategy in halted:
            continue
        who = f"by {each.set_by}, " if each.set_by else ""
        detail = f"{each.reason or 'no reason was given'}; {who}since {formats.day_clock(each.since)}"
        text = f"Strategy {each.strategy} {'has failed' if each.state == strategies.FAILED else 'is stopped'}"
        found.append(Reason(light=Light.YELLOW, code=f"STRATEGY_{each.state.upper()}", text=text, detail=detail))
    return found


def _services(sources: Sources) -> list[Reason]:
    found = []
    for service in sources.services.values():
        if service.alive is None or (service.alive and service.ready):
            continue
        what = "is not ready" if service.alive else "does not answer"
        light = Light.RED if service.name in BLOCKING else Light.YELLOW
        code = f"{service.name.upper()}_{'NOT_READY' if service.alive else 'AWAY'}"
        since = f"since {formats.wall(service.since)}" if service.since else ""
        found.append(Reason(light=light, code=code, text=f"{service.title} {what}", detail=since))
    if any(service.alive is None for service in sources.services.values()):
        found.append(Reason(light=Light.YELLOW, code="CHECKING", text="Services are being checked"))
    return found


def _execution(sources: Sources) -> list[Reason]:
    holder = sources.holder
    if not sources.execution.up or holder is None:
        if not sources.execution.asked or "execution" in sources.services:
            # Its health says so already, or will in a moment.
            return []
        return [_away("EXECUTION_AWAY", "Execution does not answer", sources.execution)]
    if not holder.holder:
        return [Reason(light=Light.RED, code="LEASE_FREE", text="Nobody holds the account's lease")]
    if holder.entries_locked_reason and holder.is_holder:
        detail = words.reason(holder.entries_locked_reason)
        return [Reason(light=Light.RED, code="ENTRIES_LOCKED", text="Entries are locked", detail=detail)]
    return []


def _reconciliation(sources: Sources, market: MarketTime, settings: Settings) -> list[Reason]:
    kept = sources.projection.verdict
    view = board.health(sources).reconciliation
    at = formats.day_clock(view.market_time)
    if view.state == "discrepant":
        count = len(view.discrepancies)
        text = f"Ledger and broker differ in {count} {'place' if count == 1 else 'places'}"
        return [Reason(light=Light.RED, code="RECONCILIATION_DISCREPANT", text=text, detail=f"compared at {at}")]
    if view.state == "unavailable":
        text = "Reconciliation could not read the broker"
        return [Reason(light=Light.RED, code="RECONCILIATION_UNAVAILABLE", text=text, detail=f"tried at {at}")]
    if kept is None:
        return [Reason(light=Light.RED, code="RECONCILIATION_NEVER", text="Ledger and broker were not compared yet")]
    if market.is_open and sources.verdict_stale_secs >= STEADY_SECS:
        bound = formats.duration(timedelta(seconds=settings.execution.verdict_max_age_secs))
        text = "The last clean comparison with the broker is too old"
        detail = f"from {at}, entries need one younger than {bound}"
        return [Reason(light=Light.RED, code="RECONCILIATION_STALE", text=text, detail=detail)]
    return []


def _protection(held: list[PositionView], market: MarketTime, settings: Settings) -> list[Reason]:
    found = []
    bound = timedelta(seconds=settings.execution.protection_bound_secs)
    for position in held:
        if position.protection == "active":
            continue
        age = market.now - position.opened_at if market.now and position.opened_at else timedelta(0)
        naked = position.protection == "none" and position.exit_owner in ("", "stop") and age > bound
        text = f"{position.symbol} has no active stop"
        detail = f"{formats.quantity(position.quantity)} held; its exit belongs to "
        detail += words.exit_owner(position.exit_owner)
        light = Light.RED if naked and market.is_open else Light.YELLOW
        found.append(Reason(light=light, code="STOP_MISSING", text=text, detail=detail))
    return found


def _feed(sources: Sources) -> list[Reason]:
    if sources.signal.up and not sources.feed_connected and sources.prices:
        return [Reason(light=Light.RED, code="FEED_DISCONNECTED", text="The market-data feed is disconnected")]
    return []


def _away(code: str, text: str, link: Link) -> Reason:
    return Reason(light=Light.RED, code=code, text=text, detail=f"since {formats.wall(link.since)}")


def notices(sources: Sources) -> list[Notice]:
    """What on the pages is only the last known, and as of when."""
    found = []
    as_of = formats.day_clock(sources.projection.last_fact_at)
    known = "nothing is known yet" if sources.projection.last_fact_at is None else f"shown as of {as_of} ET"
    execution_away = sources.execution.asked and not sources.execution.up
    bus_away = sources.bus.asked and not sources.bus.up
    if execution_away and bus_away:
        text = "Neither execution nor the bus answers: everything is the last known state."
        found.append(Notice(text=text, detail=known))
    elif execution_away:
        text = "Execution does not answer: positions, orders and cash are the last known state."
        found.append(Notice(text=text, detail=known))
    elif bus_away:
        text = "The bus is away: the ledger is read directly, new decisions appear when it is back."
        found.append(Notice(text=text, detail=f"bus away since {formats.wall(sources.bus.since)}"))
    if sources.signal.asked and not sources.signal.up:
        text = "Signal does not answer: prices, equity and unrealised P&L stand still."
        found.append(Notice(text=text, detail=f"since {formats.wall(sources.signal.since)}"))
    return found
