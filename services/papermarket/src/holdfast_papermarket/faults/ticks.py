"""Faults of the market and of the account: what a tick brings besides the recording."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

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
    ScalePrices,
)
from holdfast_exchange.faults.scope import Call
from holdfast_exchange.orders import NewOrder, OrderType, Refusal, TimeInForce
from holdfast_exchange.recording import NEW_YORK
from holdfast_papermarket.faults.desk import FaultDesk

CENT = Decimal("0.01")
TINY = timedelta(microseconds=1)
FOR_EVER_DAYS = 36_500

log = structlog.get_logger()


class TickFaults:
    """Asked before each instant of the recording becomes visible."""

    def __init__(self, exchange: Exchange, desk: FaultDesk, command: Callable[[Command], object]) -> None:
        self._exchange = exchange
        self._desk = desk
        self._command = command
        self._at = exchange.now

    def before(self, at: datetime) -> list[Fault]:
        """Carries out what fires at `at`, and returns those that somebody else has to carry out."""
        self._at = at
        call = Call(at=at, symbols=frozenset(self._exchange.market.symbols))
        return [
            fault for fault in self._desk.firing(Area.TICK, call, ready=self._ready) if not self._carried_out(fault, at)
        ]

    def _ready(self, fault: Fault) -> bool:
        """False where there is nothing yet that it could happen to: it waits."""
        symbol = fault.scope.symbol or ""
        if isinstance(fault, kinds.PositionDiffers | kinds.ForcedLiquidation):
            return bool(self._exchange.books.held(symbol))
        if isinstance(fault, kinds.SplitOvernight):
            return self._opens(symbol)
        return True

    def _opens(self, symbol: str) -> bool:
        """True at the first instant of a session."""
        session = self._exchange.market.calendar(symbol).session_at(self._at)
        return session is not None and session.open == self._at

    def _carried_out(self, fault: Fault, at: datetime) -> bool:
        symbol = fault.scope.symbol or ALL_SYMBOLS
        try:
            match fault:
                case kinds.Halt(secs=secs):
                    self._command(Halt(at, symbol, at + timedelta(seconds=secs)))
                case kinds.EarlyClose():
                    self._close_early(fault, at)
                case kinds.SplitOvernight():
                    self._split(fault, symbol, at)
                case kinds.ForcedLiquidation():
                    self._command(Liquidate(at, symbol))
                case kinds.ForeignOrder():
                    self._command(Submit(at, self._foreign(fault, symbol)))
                case kinds.ForeignPosition(quantity=quantity):
                    self._command(JournalShares(at, symbol, quantity))
                case kinds.PositionDiffers(by=by):
                    self._command(JournalShares(at, symbol, by))
                case kinds.PriceGap(factor=factor, secs=secs):
                    self._command(
                        ScalePrices(at - timedelta(microseconds=1), symbol, factor, at + timedelta(seconds=secs))
                    )
                case _:
                    return False
        except Refusal as error:
            log.error("fault.impossible", fault=fault.id, reason=error.message)
        return True

    def _close_early(self, fault: kinds.EarlyClose, at: datetime) -> None:
        day = at.astimezone(NEW_YORK).date()
        early = datetime.combine(day, fault.close, NEW_YORK).astimezone(UTC)
        session = session_of(day)
        if session is None or not at <= early < session.close:
            log.error("fault.impossible", fault=fault.id, reason=f"{early.isoformat()} is not ahead in this session")
            return
        self._command(CloseEarly(at, early, session.close))

    def _split(self, fault: kinds.SplitOvernight, symbol: str, at: datetime) -> None:
        """The split, and what it does to every price from now on."""
        action = CorporateAction(
            kind=ActionKind.FORWARD_SPLIT if fault.new_shares > fault.old_shares else ActionKind.REVERSE_SPLIT,
            symbol=symbol,
            ex_date=at.astimezone(NEW_YORK).date(),
            new_rate=Decimal(fault.new_shares),
            old_rate=Decimal(fault.old_shares),
        )
        self._command(Announce(at, action))
        factor = Decimal(fault.old_shares) / fault.new_shares
        self._command(ScalePrices(at - TINY, symbol, factor, at + timedelta(days=FOR_EVER_DAYS)))

    def _foreign(self, fault: kinds.ForeignOrder, symbol: str) -> NewOrder:
        price = self._exchange.market.price(symbol)
        limit = None if price is None else (price * fault.limit_fraction).quantize(CENT)
        return NewOrder(
            symbol=symbol,
            side=fault.side,
            quantity=fault.quantity,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY,
            client_order_id=f"foreign-{fault.id}-{self._exchange.faults.tallies[fault.id].fired}"[:48],
            limit_price=limit,
        )
