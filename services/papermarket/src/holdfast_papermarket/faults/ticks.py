"""Faults of the market and of the account: what a tick brings besides the recording."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import structlog

from holdfast_core.new_york import NEW_YORK, new_york_day
from holdfast_core.sessions import session_of
from holdfast_exchange.account_commands import Announce
from holdfast_exchange.commands import Command, Submit
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.faults import market as kinds
from holdfast_exchange.faults.base import Area, Fault
from holdfast_exchange.faults.commands import (
    ALL_SYMBOLS,
    CloseEarly,
    Halt,
    JournalShares,
    Liquidate,
    Maintain,
    ScalePrices,
    TellOtherwise,
    View,
)
from holdfast_exchange.faults.scope import Call
from holdfast_exchange.orders import NewOrder, OrderType, Refusal, TimeInForce
from holdfast_papermarket.faults.desk import FaultDesk

CENT = Decimal("0.01")
TINY = timedelta(microseconds=1)
FOR_EVER_DAYS = 36_500

log = structlog.get_logger()


class TickFaults:
    """Asked before each instant of the recording becomes visible."""

    def __init__(self, exchange: Exchange, desk: FaultDesk) -> None:
        self._exchange = exchange
        self._desk = desk
        self._told: set[str] = set()
        """Faults of which was told already that they are impossible just now."""

    def before(self, at: datetime) -> list[Fault]:
        """What fires at `at`, carried out. What is impossible yet waits and is not counted."""
        call = Call(at=at, symbols=frozenset(self._exchange.market.symbols))
        fired: list[Fault] = []
        for fault in self._desk.plan.faults:
            if fault.area is not Area.TICK or not self._ready(fault, at):
                continue
            try:
                if self._desk.fires(fault, call, partial(self._effects, fault, at)):
                    fired.append(fault)
            except Refusal as error:
                if fault.id not in self._told:
                    log.error("fault.impossible", fault=fault.id, reason=error.message)
                self._told.add(fault.id)
        return fired

    def _ready(self, fault: Fault, at: datetime) -> bool:
        """False where there is nothing yet that it could happen to: it waits."""
        market, symbol = self._exchange.market, fault.scope.symbol or ""
        match fault:
            case kinds.PositionDiffers() | kinds.ForcedLiquidation():
                return bool(self._exchange.books.held(symbol)) and market.price(symbol) is not None
            case kinds.ForeignOrder() | kinds.ForeignPosition():
                return market.price(symbol) is not None
            case kinds.SplitOvernight():
                session = market.calendar(symbol).session_at(at)
                return session is not None and session.open == at
            case kinds.EarlyClose():
                return self._early(fault, at) is not None
            case kinds.PriceFrozen():
                return any(market.price(each) is not None for each in ([symbol] if symbol else market.symbols))
        return True

    def _early(self, fault: kinds.EarlyClose, at: datetime) -> tuple[datetime, datetime] | None:
        """When the session under way closes instead, and when it would; None where that is not ahead in a session."""
        day = new_york_day(at)
        early = datetime.combine(day, fault.close, NEW_YORK).astimezone(UTC)
        session = session_of(day)
        ahead = session is not None and session.open <= at <= early < session.close
        return (early, session.close) if session is not None and ahead else None

    def _effects(self, fault: Fault, at: datetime) -> list[Command]:
        symbol = fault.scope.symbol or ALL_SYMBOLS
        match fault:
            case kinds.Halt(secs=secs):
                return [Halt(at, symbol, at + timedelta(seconds=secs))]
            case kinds.EarlyClose() if (closes := self._early(fault, at)) is not None:
                return [CloseEarly(at, *closes)]
            case kinds.SplitOvernight():
                return self._split(fault, symbol, at)
            case kinds.ForcedLiquidation():
                return [Liquidate(at, symbol)]
            case kinds.ForeignOrder():
                return [Submit(at, self._foreign(fault, symbol))]
            case kinds.ForeignPosition(quantity=quantity):
                return [JournalShares(at, symbol, quantity)]
            case kinds.PositionDiffers(by=by):
                return [JournalShares(at, symbol, by)]
            case kinds.PriceGap(factor=factor, secs=secs):
                return [ScalePrices(at - TINY, symbol, factor, at + timedelta(seconds=secs))]
            case kinds.PriceFrozen(secs=secs):
                return [TellOtherwise(at, symbol, View.FROZEN, at + timedelta(seconds=secs))]
            case kinds.PriceNan(secs=secs):
                return [TellOtherwise(at, symbol, View.NAN, at + timedelta(seconds=secs))]
            case kinds.QuoteCrossed(secs=secs):
                return [TellOtherwise(at, symbol, View.CROSSED, at + timedelta(seconds=secs))]
            case kinds.Maintenance(secs=secs, wall_secs=wall_secs):
                return [Maintain(at, at + timedelta(seconds=secs), Decimal(str(wall_secs)))]
        raise AssertionError(f"nobody carries out {fault.kind}")

    def _split(self, fault: kinds.SplitOvernight, symbol: str, at: datetime) -> list[Command]:
        """The split, and what it does to every price from now on."""
        action = CorporateAction(
            kind=ActionKind.FORWARD_SPLIT if fault.new_shares > fault.old_shares else ActionKind.REVERSE_SPLIT,
            symbol=symbol,
            ex_date=new_york_day(at),
            new_rate=Decimal(fault.new_shares),
            old_rate=Decimal(fault.old_shares),
        )
        factor = Decimal(fault.old_shares) / fault.new_shares
        return [Announce(at, action), ScalePrices(at - TINY, symbol, factor, at + timedelta(days=FOR_EVER_DAYS))]

    def _foreign(self, fault: kinds.ForeignOrder, symbol: str) -> NewOrder:
        price = self._exchange.market.price(symbol)
        limit = None if price is None else (price * fault.limit_fraction).quantize(CENT)
        return NewOrder(
            symbol=symbol,
            side=fault.side,
            quantity=fault.quantity,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY,
            client_order_id=f"foreign-{fault.id}-{self._exchange.faults.tallies[fault.id].fired + 1}"[:48],
            limit_price=limit,
        )
