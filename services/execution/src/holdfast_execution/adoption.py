"""Taking the broker's word over into the ledger: one order, its fills and its protective leg, in one transaction.

The same news may come as an answer, a trade update, a look-up or a snapshot, in any order and more than once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import structlog

from holdfast_core.instruments import book_of
from holdfast_execution.books import Books
from holdfast_execution.domain.intents import TERMINAL, IntentState, Purpose
from holdfast_execution.domain.naming import intent_name
from holdfast_execution.domain.statuses import REPLACED, is_over, known_time_in_force, moves, state_of
from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_execution.ledger import Ledger, LedgerReads, UnknownRow
from holdfast_execution.restated import (
    is_replaced_by,
    is_split_of,
    take_back,
    take_restated,
    to_be_replaced,
    unasked_since,
    works_on,
)
from holdfast_execution.rows import FillApplied, IntentRow, NewFill, NewIntent
from holdfast_execution.together import go_on, told_total
from holdfast_runtime.ports.venue import (
    Broker,
    BrokerOrder,
    FeeActivity,
    FillActivity,
    OrderType,
    Side,
    TradeUpdate,
)
from holdfast_runtime.telemetry import metrics, traces

log = structlog.get_logger()

FEES_MARGIN = timedelta(days=1)
_UNPROVEN = frozenset({IntentState.NOT_SENT, IntentState.TOMBSTONED, IntentState.ABORTED})
"""Ends that were declared here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What became of one order's news. `intent` is None where the order belongs to no intent of ours."""

    intent: IntentRow | None
    before: IntentState | None = None
    gap: bool = False
    """The broker's filled quantity is larger than what was counted: detail is missing."""
    zombie: bool = False
    """The order lives although its intent is over: it has to be cancelled."""
    fills: tuple[FillApplied, ...] = ()


def take_over(
    ledger: Ledger,
    epoch: int,
    now: datetime,
    order: BrokerOrder,
    details: Sequence[NewFill],
    *,
    totals: bool,
) -> Adopted:
    """Applies one order's news. `totals`: where detail is still missing, the broker's average stands for it."""
    row = ledger.intent_of_order(broker_order_id=order.order_id)
    if row is None and order.client_order_id:
        row = ledger.intent_of_order(client_order_id=order.client_order_id)
    if row is None:
        return Adopted(intent=None)
    before = row.state
    present = order.order_id == row.broker_order_id or order.client_order_id == row.client_order_id
    zombie = not is_over(order) and _is_unwatched(ledger, row, order, present=present)
    if present and row.state in (IntentState.SENDING, IntentState.UNKNOWN):
        row = ledger.record_ack(epoch, now, row.intent_id, order.order_id, status=order.status)
    applied = [ledger.apply_fill(epoch, now, fill) for fill in details]
    # Counted, not seen: the total of a later fill tells nothing of an earlier one that never came.
    missing = order.filled_quantity > ledger.counted(order.order_id)
    if missing and totals and order.filled_average_price is not None:
        at = order.updated_at or now
        applied.append(
            ledger.apply_filled_total(epoch, now, order.order_id, order.filled_quantity, order.filled_average_price, at)
        )
        missing = False
    row = ledger.intent(row.intent_id)
    after = state_of(order)
    # The end of an order whose fills are not all counted yet waits for them.
    if present and after is not None and not missing and moves(row.state, after):
        row = ledger.record_order_state(
            epoch, now, row.intent_id, after, reason=_reason(row, after), status=order.status
        )
    if row.purpose is Purpose.ENTRY:
        for leg in order.legs:
            _take_leg(ledger, epoch, now, row, leg)
    return Adopted(
        intent=row, before=before, gap=missing, zombie=zombie, fills=tuple(each for each in applied if each.applied)
    )


def _is_unwatched(ledger: Ledger, row: IntentRow, order: BrokerOrder, *, present: bool) -> bool:
    """True where nobody looks after this live order: its end was declared here, or its leg was refused without ever
    becoming an order. Where the broker itself has ended the order, a live one is old news."""
    if present and row.state not in TERMINAL:
        return False
    if present and row.state in _UNPROVEN:
        return True
    leg = next((each for each in ledger.orders(row.intent_id) if each.client_order_id == order.client_order_id), None)
    refused = row.state is IntentState.REJECTED and leg is not None and not leg.status
    return leg is not None and (not leg.broker_order_id or (present and refused))


def _reason(row: IntentRow, after: IntentState) -> str:
    if row.state is IntentState.CANCELLING and after is IntentState.CANCELLED:
        return row.reason
    return f"BROKER_{after.value.upper()}" if after in TERMINAL and after is not IntentState.FILLED else row.reason


def _take_leg(ledger: Ledger, epoch: int, now: datetime, entry: IntentRow, leg: BrokerOrder) -> None:
    """The stop that came with an entry, under the id that the broker gave it."""
    if leg.side is not Side.SELL or ledger.intent_of_order(broker_order_id=leg.order_id) is not None:
        return
    if leg.replaces and ledger.intent_of_order(broker_order_id=leg.replaces) is not None:
        return
    if leg.status == REPLACED or (is_over(leg) and not leg.filled_quantity):
        return
    for number in range(1, 100):
        name = intent_name(entry.signal_id, Purpose.STOP, number)
        try:
            ledger.intent(name)
        except UnknownRow:
            break
    ledger.add_intent(
        epoch,
        now,
        NewIntent(
            intent_id=name,
            signal_id=entry.signal_id,
            strategy=entry.strategy,
            symbol=entry.symbol,
            side=Side.SELL,
            purpose=Purpose.STOP,
            quantity=leg.quantity,
            order_type=OrderType.STOP,
            time_in_force=known_time_in_force(leg.time_in_force),
            client_order_id=leg.client_order_id or leg.order_id,
            book=entry.book,
            stop_price=leg.stop_price,
            parent_intent_id=entry.intent_id,
            traceparent=entry.traceparent,
            reason="OTO_LEG",
            broker_order_id=leg.order_id,
        ),
    )


def book_fees(ledger: Ledger, epoch: int, now: datetime, fees: Sequence[FeeActivity]) -> None:
    """Counts each fee once."""
    for fee in fees:
        row = ledger.apply_fee(epoch, now, fee)
        if row is not None:
            log.info("fee.taken", symbol=row.symbol, quantity=str(row.quantity), cash=str(row.cash))


def _known_fees(ledger: LedgerReads, *, fees: Sequence[FeeActivity]) -> set[str]:
    return {fee.activity_id for fee in fees if ledger.has_adjustment(fee.activity_id)}


def _is_news(ledger: LedgerReads, *, order: BrokerOrder) -> bool:
    """True where more of an order of ours has filled than was counted."""
    row = ledger.intent_of_order(broker_order_id=order.order_id, client_order_id=order.client_order_id)
    if row is None:
        return False
    return order.filled_quantity > ledger.counted(order.order_id)


def detail_of(update: TradeUpdate) -> list[NewFill]:
    """The execution in a trade update; nothing where it has none."""
    order = update.order
    if update.price is None or update.quantity is None or order.filled_quantity < update.quantity:
        return []
    if update.event not in ("fill", "partial_fill"):
        return []
    at = update.at or order.updated_at
    if at is None:
        return []
    return [
        NewFill(
            broker_order_id=order.order_id,
            quantity=update.quantity,
            cumulative_quantity=order.filled_quantity,
            price=update.price,
            filled_at=at,
            client_order_id=order.client_order_id,
        )
    ]


def detail_of_activity(fill: FillActivity, client_order_id: str = "") -> NewFill:
    return NewFill(
        broker_order_id=fill.order_id,
        quantity=fill.quantity,
        cumulative_quantity=fill.cumulative_quantity,
        price=fill.price,
        filled_at=fill.at,
        client_order_id=client_order_id,
    )


class Adopter:
    """Applies orders' news, asks for detail where it is missing, and cancels what should not live."""

    def __init__(self, books: Books, broker: Broker) -> None:
        self._books = books
        self._broker = broker
        self.incomplete: set[str] = set()
        """Intents whose fills could not be completed: the resolver reads their order again."""

    async def apply(self, order: BrokerOrder, details: Sequence[NewFill] = ()) -> Adopted:
        """One order's news into the ledger. Raises what the broker raises where detail had to be asked for."""
        rejected = state_of(order) is IntentState.REJECTED
        if rejected and (kept := await self._never_replaced(order)) is not None:
            return kept
        adopted = await self._take(order, details)
        if order.status == REPLACED and order.replaced_by and adopted.intent is not None:
            return await self._follow_chain(order, adopted)
        if adopted.zombie:
            await self._cancel_zombie(order)
        elif works_on(adopted.intent, order):
            return await self._recall(order, adopted)
        return adopted

    async def take_fees(self, since: datetime) -> None:
        """Every fee since then that is not counted yet. Raises what the broker raises."""
        fees = await self._broker.fees(since=since)
        known = await self._books.read(partial(_known_fees, fees=fees))
        if missing := [fee for fee in fees if fee.activity_id not in known]:
            await self._books.write(partial(book_fees, fees=missing))

    async def is_split(self, intent: IntentRow, order: BrokerOrder) -> bool:
        """True where a split explains that the order found is not of the quantity that was sent. Raises what the
        broker raises."""
        if intent.purpose is not Purpose.STOP:
            return False
        await self.take_fees(intent.created_at)
        return await self._books.read(partial(is_split_of, intent=intent, order=order))

    async def _take(self, order: BrokerOrder, details: Sequence[NewFill] = ()) -> Adopted:
        """What the order's news says of itself; of nothing that it replaces, or that replaces it."""
        fees = await self._fees_of(order) or await self._adjustments_of(order)

        def take(ledger: Ledger, epoch: int, now: datetime, *, found: Sequence[NewFill], totals: bool) -> Adopted:
            taken = take_over(ledger, epoch, now, order, found, totals=totals)
            # In one transaction: nobody may see the coins without what the fee took of them.
            book_fees(ledger, epoch, now, fees)
            return replace(taken, intent=take_restated(ledger, epoch, now, taken.intent, order))

        adopted = await self._books.write(partial(take, found=details, totals=False))
        self._tell(adopted)
        if adopted.gap and adopted.intent is not None:
            self.incomplete.add(adopted.intent.intent_id)
            more = await self._details(order, adopted.intent)
            adopted = await self._books.write(partial(take, found=more, totals=True))
            self._tell(adopted)
        if adopted.intent is not None and not adopted.gap:
            self.incomplete.discard(adopted.intent.intent_id)
        return adopted

    async def _fees_of(self, order: BrokerOrder) -> list[FeeActivity]:
        """Fees since a pair's order was sent, where it tells of a fill that is not counted yet."""
        if book_of(order.symbol) != "crypto" or not order.filled_quantity:
            return []
        if not await self._books.read(partial(_is_news, order=order)):
            return []
        return await self._broker.fees(since=order.submitted_at or self._books.now - FEES_MARGIN)

    async def _adjustments_of(self, order: BrokerOrder) -> list[FeeActivity]:
        """Splits and the like, where the broker has changed or cancelled an order of ours that nobody asked it to."""
        if not order.legs and (order.side is not Side.SELL or order.stop_price is None):
            return []
        since = await self._books.read(partial(unasked_since, order=order))
        return [] if since is None else await self._broker.fees(since=since)

    async def _moved_since_asked(self, intent: IntentRow, order: BrokerOrder) -> list[FeeActivity]:
        """Splits and the like, where the broker tells a stop of the intent at a price that nobody asked for. Whoever
        writes that price down counts them first: a split that is counted later would move it once more."""
        return [] if order.stop_price == intent.stop_price else await self._broker.fees(since=intent.created_at)

    async def _never_replaced(self, order: BrokerOrder) -> Adopted | None:
        """An order was rejected: where it is the present one, and never took the place of another, that one is the
        present order again, as the broker tells of it now (point 12). None where the end of the order is all there
        is."""
        found = await self._books.read(partial(to_be_replaced, order=order))
        if found is None:
            return None
        intent, old_id = found
        old = await self._broker.order(old_id)
        if old is None:
            # One 404 is no evidence of an end (invariant 11): the resolver asks again.
            self.incomplete.add(intent.intent_id)
            return Adopted(intent=intent, before=intent.state)
        if old.status == REPLACED:
            return None
        log.warning("order.replacement_rejected", order=order.order_id, replaced=old.order_id, status=old.status)
        moved = await self._moved_since_asked(intent, old)

        def back(ledger: Ledger, epoch: int, now: datetime) -> None:
            book_fees(ledger, epoch, now, moved)
            take_back(ledger, epoch, now, rejected=order, replaced=old)

        await self._books.write(back)
        return await self.apply(old)

    async def _recall(self, order: BrokerOrder, adopted: Adopted) -> Adopted:
        """`order` works on. Where the present one was to replace it, nobody may have heard of that one's rejection; or
        this is old news: it is asked for."""
        intent = adopted.intent
        if intent is None or not await self._books.read(
            partial(is_replaced_by, intent_id=intent.intent_id, order=order)
        ):
            return adopted
        newer = await self._broker.order(intent.broker_order_id)
        if newer is None or state_of(newer) is not IntentState.REJECTED:
            return adopted
        return await self.apply(newer)

    async def _cancel_zombie(self, order: BrokerOrder) -> None:
        metrics.ZOMBIE_ORDERS.inc()
        log.error("order.zombie", order=order.order_id, client_order_id=order.client_order_id)
        try:
            await self._broker.cancel_order(order.order_id)
        except NO_GOOD_ANSWER as error:
            # The next news of the order asks for it again.
            log.warning("order.cancel_failed", order=order.order_id, error=str(error))

    async def _follow_chain(self, order: BrokerOrder, adopted: Adopted) -> Adopted:
        """The present order was replaced: the chain goes on under a new id, as the same leg."""
        intent = adopted.intent
        if intent is None or not intent.open or intent.broker_order_id != order.order_id or not order.replaced_by:
            return adopted
        newer = await self._broker.order(order.replaced_by)
        return adopted if newer is None else await self.replaced(intent, newer)

    async def replaced(self, intent: IntentRow, newer: BrokerOrder, total: Decimal | None = None) -> Adopted:
        """The order of `intent` goes on as `newer`; both together are about `total`, which the broker tells where
        nobody here knows it. What was told of `newer` before it was known was told to nobody: it is read again."""
        if newer.order_id != intent.broker_order_id:
            if total is None:
                total = await told_total(self._broker, intent.broker_order_id, newer)
            if newer.quantity < intent.remaining and (old := await self._broker.order(intent.broker_order_id)):
                # It may be the smaller for what the old one has filled: that counts first.
                await self._take(old)
            moved = await self._moved_since_asked(intent, newer)

            def go(ledger: Ledger, epoch: int, now: datetime) -> None:
                book_fees(ledger, epoch, now, moved)
                go_on(ledger, epoch, now, intent=intent, newer=newer, total=total)

            await self._books.write(go)
            newer = await self._broker.order(newer.order_id) or newer
        return await self.apply(newer)

    async def _details(self, order: BrokerOrder, intent: IntentRow) -> list[NewFill]:
        # The intent of an entry's own stop may be younger than what that stop has filled.
        activities = await self._broker.fills(since=order.submitted_at or intent.created_at)
        return [
            detail_of_activity(fill, order.client_order_id) for fill in activities if fill.order_id == order.order_id
        ]

    def _tell(self, adopted: Adopted) -> None:
        intent = adopted.intent
        if intent is None:
            return
        for each in adopted.fills:
            if each.fill is None:
                continue
            metrics.FILLS.labels(purpose=intent.purpose.value, side=intent.side.value).inc()
            with traces.span(
                "execution.fill",
                parent=intent.traceparent,
                intent_id=intent.intent_id,
                client_order_id=intent.client_order_id,
                quantity=each.fill.quantity,
                price=each.fill.price,
                late=each.late,
            ):
                log.info(
                    "order.filled",
                    intent=intent.intent_id,
                    symbol=intent.symbol,
                    quantity=str(each.fill.quantity),
                    price=str(each.fill.price),
                    late=each.late,
                )
        if adopted.before is not intent.state:
            metrics.ORDERS.labels(purpose=intent.purpose.value, state=intent.state.value).inc()
