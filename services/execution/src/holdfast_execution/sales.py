"""Sales, stops and cancels as the ledger and the broker see them: what the protective lane does with its hands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import structlog

from holdfast_core.ids import instant_token
from holdfast_execution.adoption import Adopter
from holdfast_execution.books import Books, Mirror
from holdfast_execution.domain.intents import PROVEN, IntentState, Purpose
from holdfast_execution.domain.naming import intent_name, order_name, replacement_name
from holdfast_execution.domain.outcomes import matches
from holdfast_execution.domain.prices import limit_of_stop, stop_below
from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_execution.instruments import Instruments
from holdfast_execution.ledger import Ledger, LedgerReads, UnknownRow
from holdfast_execution.rows import IntentRow, LedgerError, NewIntent, PositionRow
from holdfast_execution.sender import request_of
from holdfast_execution.wishes import time_in_force_of
from holdfast_runtime.ports.venue import (
    Broker,
    BrokerOrder,
    OrderRefused,
    OrderType,
    Side,
    TimeInForce,
)
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import metrics, traces

log = structlog.get_logger()

MAX_INTENTS_PER_PURPOSE = 1_000
"""Of one position and purpose: far more than a session can need, so that a loop ends."""
MOVES_MEMORY = timedelta(days=5)
"""Splits are asked for so far back: longer than any closed stretch of the market."""
DEFAULT_STOP_FRACTION = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class OrderForm:
    """How a selling order leaves."""

    type: OrderType
    time_in_force: TimeInForce
    stop_price: Decimal | None = None
    limit_price: Decimal | None = None


class Replaced(StrEnum):
    """What became of the replacement of an order."""

    YES = "yes"
    REFUSED = "refused"
    """The old order stands, or has ended."""
    UNKNOWN = "unknown"


class Origin:
    """What a sale or a stop is about, and where that came from: the signal whose ids, stop and trace it carries on."""

    def __init__(self, held: PositionRow | IntentRow, source: IntentRow | None) -> None:
        """`held`: a position, or an entry that still works and holds nothing yet."""
        self.symbol, self.strategy, self.book = held.symbol, held.strategy, held.book
        since = held.opened_at if isinstance(held, PositionRow) else held.created_at
        opened = instant_token(since or held.updated_at)
        self.signal_id = source.signal_id if source else f"position.{held.symbol}.{opened}"
        self.traceparent = source.traceparent if source else ""
        self.stop_price = source.protect_stop_price if source else None


def origin_of(ledger: LedgerReads, position: PositionRow) -> Origin:
    """The newest entry that filled in the position's symbol since it was opened."""
    opened_at = position.opened_at or position.updated_at
    # What ended at the very instant of the opening counts, too.
    state = ledger.ledger_state(opened_at - timedelta(microseconds=1))
    entries = [
        intent
        for intent in state.intents
        if intent.purpose is Purpose.ENTRY and intent.symbol == position.symbol and intent.filled_quantity > 0
    ]
    return Origin(position, max(entries, key=lambda each: (each.created_at, each.intent_id), default=None))


class Hands:
    """Stores and withdraws protective and selling intents."""

    def __init__(
        self, books: Books, broker: Broker, adopter: Adopter, settings: Settings, instruments: Instruments
    ) -> None:
        self._books = books
        self._broker = broker
        self._adopter = adopter
        self._account = settings.account.id
        self._instruments = instruments
        self._slack = settings.execution.stop_limit_slack
        self._stop_fractions = {strategy.id: strategy.stop_fraction for strategy in settings.strategies}

    async def place_stop(self, symbol: str, quantity: Decimal, price: Decimal | None) -> IntentRow | None:
        """A PENDING stop for `quantity`, GTC, a stop-limit of coins; None where nothing is held any more."""

        def store(ledger: Ledger, epoch: int, now: datetime) -> IntentRow | None:
            position = ledger.position(symbol)
            if position is None or position.quantity <= 0:
                return None
            origin = origin_of(ledger, position)
            # The ledger's own price first: a split may have been counted since the caller looked.
            stop_price = position.stop_price or price or origin.stop_price or self._fallback_stop(position)
            form = self._stop_of(position, stop_price)
            return self._store(ledger, epoch, now, origin, Purpose.STOP, quantity, form, "PROTECT")

        return await self._books.write(store)

    async def sell(self, symbol: str, purpose: Purpose, reason: str) -> None:
        """A PENDING market sale of all that is held; it waits for the handover."""
        await self._sell(symbol, purpose, reason, None, None)

    async def sell_again(self, sale: IntentRow, quantity: Decimal) -> None:
        """The next leg of a sale that was refused; or the same sale of another quantity in place of an unsent one."""
        await self._sell(sale.symbol, sale.purpose, sale.reason, quantity, sale)

    async def sell_rest(self, sale: IntentRow) -> None:
        """A further sale for what `sale`, which has left, leaves to a part that may be sold already (SY-2)."""
        await self._sell(sale.symbol, sale.purpose, sale.reason, None, sale)

    async def _sell(
        self, symbol: str, purpose: Purpose, reason: str, quantity: Decimal | None, sale: IntentRow | None
    ) -> None:

        def store(ledger: Ledger, epoch: int, now: datetime) -> None:
            position = ledger.position(symbol)
            if position is None or position.quantity <= 0:
                return
            if sale is not None and ledger.intent(sale.intent_id).state is IntentState.PENDING:
                ledger.mark_not_sent(epoch, now, sale.intent_id, "QUANTITY_CHANGED")
            amount = position.quantity if quantity is None else min(quantity, position.quantity)
            origin = origin_of(ledger, position) if sale is None else Origin(position, sale)
            form = OrderForm(OrderType.MARKET, time_in_force_of(position.book))
            self._store(ledger, epoch, now, origin, purpose, amount, form, reason)

        await self._books.write(store)
        log.warning("exit.wanted", symbol=symbol, purpose=purpose.value, reason=reason)

    def store_sales(self, ledger: Ledger, epoch: int, now: datetime, strategy: str, reason: str) -> list[IntentRow]:
        """A PENDING market sale of all that `strategy` holds and of what its working entries may still bring, inside
        the caller's transaction. What is being sold already is left to that sale."""
        parts = ledger.parts()
        selling = {each.symbol for each in parts.intents.values() if each.purpose in (Purpose.EXIT, Purpose.FLATTEN)}
        wanted = {
            each.symbol: (Origin(each, each), each.remaining)
            for each in parts.intents.values()
            if each.strategy == strategy and each.purpose is Purpose.ENTRY
        } | {
            each.symbol: (origin_of(ledger, each), each.quantity)
            for each in parts.positions.values()
            if each.strategy == strategy and each.quantity > 0
        }
        return [
            self._store(
                ledger,
                epoch,
                now,
                origin,
                Purpose.EXIT,
                quantity,
                OrderForm(OrderType.MARKET, time_in_force_of(origin.book)),
                reason,
            )
            for symbol, (origin, quantity) in sorted(wanted.items())
            if symbol not in selling
        ]

    def _fallback_stop(self, position: PositionRow) -> Decimal:
        fraction = self._stop_fractions.get(position.strategy, DEFAULT_STOP_FRACTION)
        tick = self._instruments.tick(position.symbol, position.book)
        return position.stop_price or stop_below(position.average_price, fraction, book=position.book, tick=tick)

    def _stop_of(self, position: PositionRow, stop_price: Decimal) -> OrderForm:
        """The venue takes no plain stop of coins: a stop-limit, whose limit the monitor stands behind."""
        if position.book != "crypto":
            return OrderForm(OrderType.STOP, TimeInForce.GTC, stop_price)
        tick = self._instruments.tick(position.symbol, position.book)
        limit_price = limit_of_stop(stop_price, self._slack, book=position.book, tick=tick)
        return OrderForm(OrderType.STOP_LIMIT, TimeInForce.GTC, stop_price, limit_price)

    def _store(
        self,
        ledger: Ledger,
        epoch: int,
        now: datetime,
        origin: Origin,
        purpose: Purpose,
        quantity: Decimal,
        form: OrderForm,
        reason: str,
    ) -> IntentRow:
        """The next leg of an intent whose last one is proven over and bought nothing, else the next intent."""
        for number in range(1, MAX_INTENTS_PER_PURPOSE):
            name = intent_name(origin.signal_id, purpose, number)
            try:
                row = ledger.intent(name)
            except UnknownRow:
                return ledger.add_intent(
                    epoch,
                    now,
                    NewIntent(
                        intent_id=name,
                        signal_id=origin.signal_id,
                        strategy=origin.strategy,
                        symbol=origin.symbol,
                        side=Side.SELL,
                        purpose=purpose,
                        quantity=quantity,
                        order_type=form.type,
                        time_in_force=form.time_in_force,
                        client_order_id=order_name(self._account, origin.strategy, origin.signal_id, name, 1),
                        book=origin.book,
                        limit_price=form.limit_price,
                        stop_price=form.stop_price,
                        traceparent=origin.traceparent,
                        reason=reason,
                    ),
                )
            if row.state in PROVEN and row.filled_quantity == 0 and row.symbol == origin.symbol:
                client_id = order_name(self._account, row.strategy, row.signal_id, name, row.leg + 1)
                return ledger.new_leg(
                    epoch,
                    now,
                    name,
                    client_id,
                    quantity=quantity,
                    order_type=form.type,
                    time_in_force=form.time_in_force,
                    limit_price=form.limit_price,
                    stop_price=form.stop_price,
                    reason=reason,
                )
        raise LedgerError(f"{origin.symbol}: more than {MAX_INTENTS_PER_PURPOSE} intents to {purpose.value}")

    async def drop(self, intent_id: str, reason: str) -> None:
        """A PENDING intent ends unsent."""

        def store(ledger: Ledger, epoch: int, now: datetime) -> None:
            if ledger.intent(intent_id).state is IntentState.PENDING:
                ledger.mark_not_sent(epoch, now, intent_id, reason)

        await self._books.write(store)

    async def cancel(self, intent: IntentRow, reason: str) -> None:
        """Asks the broker to cancel. CANCELLING until the end is proven: the resolver asks for the proof."""
        with (
            self._books.activity.busy(),
            traces.span(
                "execution.cancel", parent=intent.traceparent, intent_id=intent.intent_id, reason=reason
            ) as span,
        ):
            row = await self._books.write(
                lambda ledger, epoch, now: ledger.record_order_state(
                    epoch, now, intent.intent_id, IntentState.CANCELLING, reason=reason
                )
            )
            if row.state is not IntentState.CANCELLING or not row.broker_order_id:
                return
            try:
                await self._broker.cancel_order(row.broker_order_id)
            except OrderRefused as refusal:
                span.set(refused=refusal.kind.value)
            except NO_GOOD_ANSWER as error:
                span.set(unknown=str(error))
                log.warning("order.cancel_unknown", intent=intent.intent_id, error=str(error))
            metrics.SENDS.labels(request="cancel", outcome="asked").inc()

    async def hear_of_moves(self, symbol: str, stops: Sequence[IntentRow]) -> None:
        """What the broker has moved of a holding, by a split or for a dividend, counted now. Raises what the broker
        raises where a stop is asked for: it protects meanwhile. What is bare waits for no answer."""
        for stop in stops:
            order = await self._broker.order(stop.broker_order_id)
            if order is not None:
                await self._adopter.apply(order)
        if stops:
            return
        try:
            await self._adopter.take_fees(self._books.now - MOVES_MEMORY)
        except NO_GOOD_ANSWER as error:
            log.warning("monitor.moves_unknown", symbol=symbol, error=str(error))

    async def extend(self, intent: IntentRow) -> bool:
        """A DAY stop becomes GTC. False where it has to be tried again."""
        return await self._replace(intent, "extend", time_in_force=TimeInForce.GTC) is Replaced.YES

    async def shrink(self, intent: IntentRow, quantity: Decimal) -> bool:
        """A stop goes on for `quantity`, so that something protects the rest at every moment. False where it has to be
        tried again. Where the broker refuses, the stop stays as it is, and the part that waits for it is not sold."""
        replaced = await self._replace(intent, "shrink", quantity=quantity)
        if replaced is Replaced.REFUSED:
            mirror = await self._books.look()
            stop = mirror.by_id.get(intent.intent_id)
            # A stop that was refused since it has fired goes first: its fills say what there is to do.
            if stop is not None and stop.filled_quantity == intent.filled_quantity:
                await self._not_shrunk(stop, mirror)
        return replaced is not Replaced.UNKNOWN

    async def _not_shrunk(self, stop: IntentRow, mirror: Mirror) -> None:
        """No live stop is cancelled for a part; one that is too large by itself is, since it could sell what is not
        held (invariant 8): the smaller one follows once its end is proven."""
        symbol = mirror.of_symbol(stop.symbol)
        parts = [each for each in symbol if each.purpose is Purpose.REDUCE and each.state is IntentState.PENDING]
        for part in parts:
            await self.drop(part.intent_id, "STOP_NOT_REPLACED")
        if not parts:
            await self.cancel(stop, "STOP_QUANTITY_WRONG")

    async def _replace(
        self,
        intent: IntentRow,
        action: str,
        *,
        quantity: Decimal | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> Replaced:
        """By PATCH: a new order of the same leg (point 12)."""
        with (
            self._books.activity.busy(),
            traces.span(
                "execution.protect", parent=intent.traceparent, intent_id=intent.intent_id, action=action
            ) as span,
        ):
            legs = await self._books.read(lambda ledger: ledger.orders(intent.intent_id))
            number = sum(1 for leg in legs if leg.replaces) + 1
            client_id = replacement_name(intent.client_order_id, number)
            asked = intent.leg_quantity if quantity is None else quantity
            wanted = replace(request_of(intent), client_order_id=client_id, quantity=asked)
            refused = False
            newer: BrokerOrder | None = None
            total: Decimal | None = None
            try:
                answer = await self._broker.replace_order(
                    intent.broker_order_id, client_order_id=client_id, quantity=quantity, time_in_force=time_in_force
                )
                if matches(wanted, answer):
                    newer, total = answer, asked
            except NO_GOOD_ANSWER as error:
                refused = isinstance(error, OrderRefused)
                span.set(refused=str(error))
            if newer is None:
                newer = await self._replacement(intent, client_id)
            if newer is None:
                return Replaced.REFUSED if refused else Replaced.UNKNOWN
            await self._adopter.replaced(intent, newer, total)
            return Replaced.YES

    async def _replacement(self, intent: IntentRow, client_id: str) -> BrokerOrder | None:
        """What became of a replacement that got no good answer: look up `<id>-rN` and `replaced_by` (point 12)."""
        newer = await self._broker.order_by_client_id(client_id)
        if newer is not None:
            return newer
        older = await self._broker.order(intent.broker_order_id)
        if older is None:
            return None
        if older.replaced_by:
            return await self._broker.order(older.replaced_by)
        await self._adopter.apply(older)
        return None
