"""A person takes over what the broker holds of a symbol and the ledger does not know (invariants 6 and 14, FP-4.5).

A foreign position, a forced liquidation, a position that differs: the difference is booked as an adjustment, and from
there on the position is one like any other.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import NoReturn

import structlog

from holdfast_core.instruments import book_of
from holdfast_core.money import ZERO, is_rounded
from holdfast_execution.books import Books, Mirror
from holdfast_execution.domain.intents import AT_BROKER, IntentState, Purpose
from holdfast_execution.domain.statuses import is_over
from holdfast_execution.ledger import Ledger, LedgerReads
from holdfast_execution.merge import READS, Merger, flat
from holdfast_execution.rows import CLAIM, AdjustmentRow, IntentRow, LedgerError, PositionClaim, PositionRow
from holdfast_runtime.errors import AskBroker, Code, Refused
from holdfast_runtime.ports.venue import (
    Broker,
    BrokerOrder,
    BrokerPosition,
    FillActivity,
    Side,
    Throttled,
    Unauthorised,
    VenueUnavailable,
)
from holdfast_runtime.telemetry import traces

log = structlog.get_logger()

FILLS_SINCE = timedelta(days=7)
"""Foreign fills that explain a difference are looked for so far back; later than the symbol's last claim."""
PRICE_STEP, CASH_STEP = Decimal("1e-9"), Decimal("1e-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks for. `strategy` may be empty where the symbol has an owner."""

    symbol: str
    strategy: str
    claimed_by: str
    note: str
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What was booked, or would be; `before` and `theirs` are the two sides' quantities until then."""

    adjustment: AdjustmentRow
    before: Decimal
    theirs: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Ledger and broker of one symbol as of one moment."""

    position: PositionRow | None
    intents: tuple[IntentRow, ...]
    """Open ones."""
    ledger_cash: Decimal
    theirs: BrokerPosition | None
    orders: Sequence[BrokerOrder]
    """The broker's open ones of the symbol."""
    cash: Decimal
    """What the broker's account has more, as far as this symbol explains it."""

    @property
    def ours(self) -> Decimal:
        return self.position.quantity if self.position is not None else ZERO

    @property
    def broker(self) -> Decimal:
        return self.theirs.quantity if self.theirs is not None else ZERO


class Moved(LedgerError):
    """What was compared is no longer so."""


class Claims:
    """Compares, refuses or books."""

    def __init__(self, books: Books, broker: Broker, merger: Merger, *, strategies: Collection[str]) -> None:
        self._books = books
        self._broker = broker
        self._merger = merger
        self._strategies = strategies

    async def claim(self, asked: Asked) -> Claimed:
        """Books what differs, after a fresh look at the broker; a second claim finds nothing.

        Raises Refused: STRATEGY_UNKNOWN, BROKER_UNREADABLE, CREDENTIALS_REFUSED, NOTHING_DIFFERS, SHORT_HELD,
        ORDERS_OPEN, SYMBOL_OWNED, STRATEGY_MISSING, NO_PRICE, ACCOUNT_MOVES.
        """
        if asked.strategy and asked.strategy not in self._strategies:
            _refuse(
                "STRATEGY_UNKNOWN", f"no strategy {asked.strategy}; there are: {', '.join(sorted(self._strategies))}"
            )
        with self._books.activity.busy(), traces.span("execution.claim", symbol=asked.symbol) as span:
            for _ in range(READS):
                sides = await self._look(asked.symbol)
                if sides is None:
                    continue
                claim = claim_of(asked, sides)
                span.set(quantity=claim.quantity, cash=claim.cash, dry_run=asked.dry_run)
                if asked.dry_run:
                    return Claimed(adjustment=_unbooked(claim, self._books.now), before=sides.ours, theirs=sides.broker)
                try:
                    booked = await self._books.write(partial(_book, claim=claim, compared=sides))
                except Moved:
                    continue
                log.warning("position.claimed", claim=booked.adjustment_id, quantity=str(booked.quantity))
                return Claimed(adjustment=booked, before=sides.ours, theirs=sides.broker)
        raise Refused(Code.ABORTED, "ACCOUNT_MOVES", "the account moved while it was read: claim again in a moment")

    async def _look(self, symbol: str) -> Sides | None:
        """Both sides, after everything that the broker proves was taken over; None where they moved meanwhile."""
        try:
            await self._merger.merge(f"claim of {symbol}")
            return await self._compare(symbol)
        except Unauthorised as error:
            raise Refused(Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED", str(error)) from error
        except (VenueUnavailable, Throttled, AskBroker) as error:
            raise Refused(Code.UNAVAILABLE, "BROKER_UNREADABLE", f"the broker could not be read: {error}") from error

    async def _compare(self, symbol: str) -> Sides | None:
        mirror = await self._books.look()
        account = await self._books.read(lambda ledger: ledger.account())
        cash, positions = (await self._broker.account()).cash, await self._positions()
        orders = {each.order_id: each for each in flat(await self._broker.orders(open_only=True))}
        counted = await self._books.read(partial(_counted, mirror=mirror))
        if any(order_id not in orders or orders[order_id].filled_quantity != so_far for order_id, so_far in counted):
            return None
        if cash != (await self._broker.account()).cash or positions != await self._positions():
            return None
        theirs, position = positions.get(symbol), mirror.positions.get(symbol)
        quantity = (theirs.quantity if theirs else ZERO) - (position.quantity if position else ZERO)
        alone = not any(_differs(each, mirror, positions) for each in {*positions, *mirror.positions} - {symbol})
        return Sides(
            position=position,
            intents=mirror.of_symbol(symbol),
            ledger_cash=account.cash,
            theirs=theirs,
            orders=[each for each in orders.values() if each.symbol == symbol and not is_over(each)],
            cash=cash_gap(account.cash, cash) if alone else await self._cash_of_fills(symbol, quantity),
        )

    async def _positions(self) -> dict[str, BrokerPosition]:
        return {each.symbol: each for each in await self._broker.positions()}

    async def _cash_of_fills(self, symbol: str, quantity: Decimal) -> Decimal:
        """Where other symbols differ as well, only what foreign fills of this one prove; nothing where they do not."""
        since = self._books.now - FILLS_SINCE
        fills = [each for each in await self._broker.fills(since=since) if each.symbol == symbol]
        foreign = await self._books.read(partial(_foreign, fills=fills, symbol=symbol, since=since))
        signed = [(each.quantity if each.side is Side.BUY else -each.quantity, each.price) for each in foreign]
        if sum((bought for bought, _ in signed), ZERO) != quantity:
            return ZERO
        return -sum(((bought * price).quantize(CASH_STEP, ROUND_HALF_EVEN) for bought, price in signed), ZERO)


# --- the rules, pure


def claim_of(asked: Asked, sides: Sides) -> PositionClaim:
    """What makes the ledger hold what the broker holds. Raises Refused, as `Claims.claim`."""
    quantity = sides.broker - sides.ours
    if not quantity:
        _refuse("NOTHING_DIFFERS", f"ledger and broker both hold {sides.ours:f} {asked.symbol}: nothing to claim")
    if sides.broker < 0:
        _refuse("SHORT_HELD", f"the broker holds {sides.broker:f} {asked.symbol}: no book sells short, cover it there")
    _refuse_open_orders(asked.symbol, sides)
    return PositionClaim(
        symbol=asked.symbol,
        strategy=_owner(asked, sides.position),
        book=book_of(asked.symbol),
        quantity=quantity,
        price=_price(sides),
        cash=sides.cash,
        description=f"claimed by {asked.claimed_by}: {asked.note}",
    )


def cash_gap(ledger: Decimal, broker: Decimal) -> Decimal:
    """Dollars that the broker has more; zero where it only rounds more coarsely."""
    return ZERO if is_rounded(broker, ledger) else (broker - ledger).quantize(CASH_STEP, ROUND_HALF_EVEN)


def _refuse_open_orders(symbol: str, sides: Sides) -> None:
    """A resting stop of ours is no obstacle, nor what has not left: both look at the position again."""
    for intent in sides.intents:
        rests = intent.purpose is Purpose.STOP and intent.state is IntentState.ACKED and not intent.filled_quantity
        unsent = intent.purpose is not Purpose.ENTRY and intent.state is IntentState.PENDING
        if not (rests or unsent):
            _refuse("ORDERS_OPEN", f"{intent.intent_id} of {symbol} is {intent.state}: claim when it has ended")
    ours = {intent.broker_order_id for intent in sides.intents}
    for order in sides.orders:
        if order.order_id not in ours:
            _refuse("ORDERS_OPEN", f"order {order.order_id} of {symbol} is not ours: cancel it at the broker first")


def _owner(asked: Asked, position: PositionRow | None) -> str:
    if position is not None and position.quantity:
        if asked.strategy not in ("", position.strategy):
            _refuse("SYMBOL_OWNED", f"{asked.symbol} belongs to {position.strategy}, not to {asked.strategy}")
        return position.strategy
    if not asked.strategy:
        _refuse("STRATEGY_MISSING", f"nobody owns {asked.symbol}: name the strategy that shall own it")
    return asked.strategy


def _price(sides: Sides) -> Decimal:
    """Such that the whole costs what the broker's average says; what only leaves is valued at our own average."""
    position, theirs = sides.position, sides.theirs
    if position is not None and position.quantity and abs(sides.broker) < abs(position.quantity):
        return position.average_price
    average = theirs.average_price if theirs is not None else ZERO
    if average <= 0:
        _refuse("NO_PRICE", "the broker tells no average entry price of the position: nobody knows what it cost")
    if position is None or position.quantity <= 0:
        return average.quantize(PRICE_STEP)
    implied = (sides.broker * average - position.cost) / (sides.broker - position.quantity)
    return (implied if implied > 0 else average).quantize(PRICE_STEP)


def _refuse(reason: str, message: str) -> NoReturn:
    raise Refused(Code.FAILED_PRECONDITION, reason, message)


def _differs(symbol: str, mirror: Mirror, positions: Mapping[str, BrokerPosition]) -> bool:
    ours, theirs = mirror.positions.get(symbol), positions.get(symbol)
    return (ours.quantity if ours else ZERO) != (theirs.quantity if theirs else ZERO)


def _unbooked(claim: PositionClaim, now: datetime) -> AdjustmentRow:
    return AdjustmentRow(
        adjustment_id="",
        kind=CLAIM,
        symbol=claim.symbol,
        strategy=claim.strategy,
        book=claim.book,
        quantity=claim.quantity,
        cash=claim.cash,
        price=claim.price,
        at=now,
        description=claim.description,
    )


# --- the ledger


def _counted(ledger: LedgerReads, *, mirror: Mirror) -> list[tuple[str, Decimal]]:
    """Of each order of ours that works: what was counted of its fills."""
    working = [each.broker_order_id for each in mirror.intents if each.broker_order_id and each.state in AT_BROKER]
    return [(order_id, ledger.counted(order_id)) for order_id in working]


def _foreign(ledger: LedgerReads, *, fills: Sequence[FillActivity], symbol: str, since: datetime) -> list[FillActivity]:
    """Fills of orders that are not ours, later than what the last claim has taken over."""
    claims = [each.at for each in ledger.adjustments(since) if each.kind == CLAIM and each.symbol == symbol]
    after = max(claims, default=since)
    return [each for each in fills if each.at > after and ledger.intent_of_order(broker_order_id=each.order_id) is None]


def _book(ledger: Ledger, epoch: int, now: datetime, *, claim: PositionClaim, compared: Sides) -> AdjustmentRow:
    """Books the claim. Raises Moved where a fill or an order came since both sides were compared."""
    position = ledger.position(claim.symbol)
    intents = {each for each in ledger.open_intents() if each.symbol == claim.symbol}
    same = (position.quantity if position is not None else ZERO) == compared.ours
    if not same or intents != set(compared.intents) or ledger.account().cash != compared.ledger_cash:
        raise Moved(f"{claim.symbol} has moved")
    return ledger.claim_position(epoch, now, claim)
