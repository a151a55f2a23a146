"""What a person sees first: money, positions and the trading status, from everything known at one moment."""

from datetime import datetime
from decimal import Decimal

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.domain import convert
from holdfast_admin.domain.projection import NEVER, number
from holdfast_admin.domain.sources import Sources
from holdfast_admin.domain.views import (
    AccountView,
    EquityPoint,
    EquityView,
    HaltView,
    HealthView,
    KillSwitchView,
    LeaseView,
    MarketTime,
    PositionView,
)
from holdfast_core.instruments import book_of
from holdfast_core.money import ZERO
from holdfast_core.sessions import ROUND_THE_CLOCK, Calendar, OutsideCalendar
from holdfast_runtime.ledger_halts import KILL_SWITCH

PROTECTIONS = {pb.PROTECTION_PENDING: "pending", pb.PROTECTION_ACTIVE: "active"}


def market_time(sources: Sources, clock_now: datetime, calendar: Calendar) -> MarketTime:
    """The clock's time; before its first tick, the newest fact's. What trades round the clock never changes."""
    now: datetime | None = clock_now if clock_now > NEVER else sources.projection.last_fact_at
    if now is None:
        return MarketTime(now=None, is_open=False, next_change=None)
    if calendar is ROUND_THE_CLOCK:
        return MarketTime(now=now, is_open=True, next_change=None)
    try:
        is_open = calendar.is_open(now)
        change = calendar.next_close(now) if is_open else calendar.next_open(now)
    except OutsideCalendar:
        return MarketTime(now=now, is_open=False, next_change=None)
    return MarketTime(now=now, is_open=is_open, next_change=change)


def positions(sources: Sources) -> list[PositionView]:
    """What is held, by symbol."""
    return [position(sources, each) for each in sources.projection.held()]


def position(sources: Sources, held: pb.Position) -> PositionView:
    """What is held of one symbol, at its newest price."""
    known = sources.prices.get(held.symbol)
    live = known is not None and known.last is not None and sources.signal.up and sources.feed_connected
    price = known.last if known is not None and known.last is not None else sources.curve.latest(held.symbol)
    average, quantity = number(held.average_price), number(held.quantity)
    worth = price if price is not None else average
    cost = average * quantity
    stop = convert.amount(held.stop_price)
    return PositionView(
        symbol=held.symbol,
        strategy=held.strategy,
        book=book_of(held.symbol),
        quantity=quantity,
        average_price=average,
        price=price,
        price_time=known.at if known is not None else None,
        price_live=live,
        market_value=quantity * worth,
        unrealised_pnl=quantity * (worth - average),
        unrealised_fraction=quantity * (worth - average) / abs(cost) if cost else ZERO,
        realised_pnl=number(held.realised_pnl),
        protection=PROTECTIONS.get(held.protection, "none"),
        stop_price=stop,
        stop_quantity=number(held.stop_quantity),
        stop_distance=(worth - stop) / worth if stop is not None and worth else None,
        exit_owner=held.exit_owner,
        opened_at=convert.instant(held.opened_at),
    )


def account(sources: Sources, held: list[PositionView], market: MarketTime, calendar: Calendar) -> AccountView | None:
    """None before the ledger has told of any account."""
    kept = sources.projection.account
    if kept is None or not kept.body.HasField("cash"):
        return None
    message = kept.body
    cash, starting = number(message.cash), number(message.starting_cash)
    value = sum((each.market_value for each in held), ZERO)
    exposure = sum((abs(each.market_value) for each in held), ZERO)
    equity = cash + value
    before = _equity_before_session(sources, market, calendar)
    opening = before if before is not None else starting
    return AccountView(
        account_id=message.account_id,
        equity=equity,
        cash=cash,
        starting_cash=starting,
        reserved=number(message.reserved),
        realised_pnl=number(message.realised_pnl),
        unrealised_pnl=sum((each.unrealised_pnl for each in held), ZERO),
        total_pnl=equity - starting,
        total_return=(equity - starting) / starting if starting else ZERO,
        day_pnl=equity - opening if market.now is not None else None,
        exposure=exposure,
        exposure_fraction=exposure / equity if equity > 0 else ZERO,
    )


def _equity_before_session(sources: Sources, market: MarketTime, calendar: Calendar) -> Decimal | None:
    """Equity at the last close: of the session before this one, or before the one that has just ended."""
    if market.now is None:
        return None
    try:
        session = calendar.session_at(market.now) or calendar.previous_session(market.now)
    except OutsideCalendar:
        return None
    opened = int(session.open.timestamp())
    earlier = [point.equity for point in sources.curve.points() if point.at <= opened]
    return earlier[-1] if earlier else None


def equity(sources: Sources, *, after: int, revision: int) -> EquityView:
    """The curve from `after` on, or all of it where the caller's `revision` is an older one."""
    curve, kept = sources.curve, sources.projection.account
    found = curve.since(after) if revision == curve.revision else curve.points()
    return EquityView(
        revision=curve.revision,
        baseline=number(kept.body.starting_cash) if kept is not None else None,
        points=[EquityPoint(at=point.at, equity=point.equity) for point in found],
    )


def halts(sources: Sources) -> list[HaltView]:
    """Halts in force, oldest first: as facts tell them, and those of the ledger that have no fact yet."""
    found = {halt.halt_id: convert.halt(halt) for halt in sources.projection.open_halts()}
    known = sources.projection.halts
    found |= {halt_id: halt for halt_id, halt in sources.own_halts.items() if known.get(halt_id) is None}
    return sorted(found.values(), key=lambda halt: (halt.since or NEVER, halt.halt_id))


def kill_switch(sources: Sources) -> KillSwitchView:
    """Every open kill switch of the whole account as one."""
    found = [each for each in halts(sources) if each.kind == KILL_SWITCH and not each.symbol and not each.strategy]
    if not found:
        return KillSwitchView(engaged=False)
    return KillSwitchView(
        engaged=True,
        confirmed=all(each.confirmed for each in found),
        halt_ids=[each.halt_id for each in found],
        reason=found[0].reason,
        set_by=found[0].set_by,
        since=found[0].since,
    )


def health(sources: Sources) -> HealthView:
    """Services, lease, reconciliation and halts."""
    holder, verdict = sources.holder, sources.projection.verdict
    return HealthView(
        services=list(sources.services.values()),
        lease=None
        if holder is None
        else LeaseView(
            holder=holder.holder,
            epoch=holder.epoch,
            is_holder=holder.is_holder,
            entries_locked_reason=holder.entries_locked_reason,
        ),
        reconciliation=convert.reconciliation(verdict.body if verdict is not None else None),
        halts=halts(sources),
    )
