"""Merging the broker's snapshot into the ledger: orders, fills, positions (order protocol, point 11).

Used at start, at every reconnect of the update stream, and when reconciliation asks for it.
"""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import structlog

from holdfast_core.ids import CLIENT_ORDER_ID_PREFIX
from holdfast_core.money import ZERO
from holdfast_execution.adoption import Adopted, Adopter, detail_of_activity
from holdfast_execution.books import Books, Mirror
from holdfast_execution.domain.intents import AT_BROKER, IntentState, Purpose
from holdfast_execution.domain.statuses import is_over
from holdfast_execution.ledger import Ledger, LedgerReads
from holdfast_execution.rows import IntentRow, NewFill
from holdfast_runtime.ports.venue import Broker, BrokerOrder
from holdfast_runtime.telemetry import traces

log = structlog.get_logger()

DISCREPANT = "MERGE_DISCREPANT"
"""Lock of entries: after the merge the ledger's positions still differ from the broker's."""
FILLS_MARGIN = timedelta(days=1)
READS = 3
"""Comparisons before a difference is believed: a fill may come between two reads."""


class Merger:
    """Reads the broker and takes its word over."""

    def __init__(self, books: Books, broker: Broker, adopter: Adopter) -> None:
        self._books = books
        self._broker = broker
        self._adopter = adopter
        self._one_at_a_time = asyncio.Lock()

    async def merge(self, reason: str) -> int:
        """One merge; returns the ledger's version after it. Raises what the broker's reads raise."""
        async with self._one_at_a_time:
            return await self._merge(reason)

    async def _merge(self, reason: str) -> int:
        with self._books.activity.busy(), traces.span("execution.merge", reason=reason) as span:
            for _ in range(READS):
                await self._take_orders()
                differing = await self._differing()
                if not differing:
                    break
            span.set(differing=len(differing))
            if differing:
                log.error("merge.positions_differ", positions=differing)
                self._books.lock_entries(DISCREPANT, passing=False)
            else:
                self._books.unlock_entries(DISCREPANT)
            log.info("merge.done", reason=reason, differing=len(differing))
            return (await self._books.look()).version

    async def _take_orders(self) -> None:
        mirror = await self._books.look()
        orders = {order.order_id: order for order in _flat(await self._broker.orders(open_only=True))}
        details = await self._details(mirror)
        for resting in orders.values():
            await self.take(resting, details.get(resting.order_id, []))
        for intent in mirror.intents:
            if intent.broker_order_id in orders or not _may_be_at_broker(intent):
                continue
            order = await self._find(intent)
            if order is not None:
                await self.take(order, details.get(order.order_id, []))

    async def _details(self, mirror: Mirror) -> dict[str, list[NewFill]]:
        since = min([intent.created_at for intent in mirror.intents] + [self._books.now - FILLS_MARGIN])
        ours = {intent.broker_order_id for intent in mirror.intents if intent.broker_order_id}
        details: dict[str, list[NewFill]] = {}
        late: dict[str, list[NewFill]] = {}
        for fill in await self._broker.fills(since=since):
            target = details if fill.order_id in ours else late
            target.setdefault(fill.order_id, []).append(detail_of_activity(fill))
        await self._take_late(late)
        return details

    async def _take_late(self, late: dict[str, list[NewFill]]) -> None:
        """Fills of orders whose intents are over, or that nobody here knows: counted once, as far as they are ours."""
        for order_id, fills in sorted(late.items()):
            if await self._books.read(partial(_is_short, order_id=order_id, fills=fills)):
                await self._books.write(partial(_count, fills=fills))

    async def _find(self, intent: IntentRow) -> BrokerOrder | None:
        if intent.broker_order_id:
            return await self._broker.order(intent.broker_order_id)
        return await self._broker.order_by_client_id(intent.client_order_id)

    async def take(self, order: BrokerOrder, details: list[NewFill]) -> Adopted:
        """One order's news; a foreign one halts its symbol."""
        adopted = await self._adopter.apply(order, details)
        if adopted.intent is not None or is_over(order):
            return adopted
        if not order.client_order_id.startswith(CLIENT_ORDER_ID_PREFIX) and await self._find_parent(order):
            adopted = await self._adopter.apply(order, details)
            if adopted.intent is not None:
                return adopted
        log.error("order.foreign", order=order.order_id, symbol=order.symbol)
        await self._books.write(
            lambda ledger, epoch, now: ledger.add_halt(
                epoch,
                now,
                "foreign_order",
                f"order {order.order_id} ({order.side} {order.quantity} {order.symbol}) is not ours",
                symbol=order.symbol,
            )
        )
        return adopted

    async def _find_parent(self, order: BrokerOrder) -> bool:
        """A leg has an id of the broker's making: it is found through its parent. True where a parent was read."""
        mirror = await self._books.look()
        parents = [
            intent
            for intent in mirror.of_symbol(order.symbol)
            if intent.purpose is Purpose.ENTRY and intent.broker_order_id and intent.protect_stop_price is not None
        ]
        for parent in parents:
            read = await self._broker.order(parent.broker_order_id)
            if read is not None:
                await self._adopter.apply(read)
        return bool(parents)

    async def _differing(self) -> dict[str, str]:
        """Symbols whose position differs, with both quantities in words."""
        theirs: dict[str, Decimal] = {each.symbol: each.quantity for each in await self._broker.positions()}
        ours = {
            symbol: position.quantity
            for symbol, position in (await self._books.look()).positions.items()
            if position.quantity
        }
        return {
            symbol: f"ledger {ours.get(symbol, ZERO)}, broker {theirs.get(symbol, ZERO)}"
            for symbol in sorted(ours.keys() | theirs.keys())
            if ours.get(symbol, ZERO) != theirs.get(symbol, ZERO)
        }


def _flat(orders: list[BrokerOrder]) -> list[BrokerOrder]:
    """Orders and their legs, parents first: a leg is known through its parent."""
    return [each for order in orders for each in (order, *order.legs)]


def _may_be_at_broker(intent: IntentRow) -> bool:
    return intent.state in AT_BROKER or intent.state in (IntentState.UNKNOWN, IntentState.SENDING)


def _is_short(ledger: LedgerReads, *, order_id: str, fills: list[NewFill]) -> bool:
    """True where an order of ours has filled more than was counted."""
    row = ledger.intent_of_order(broker_order_id=order_id)
    if row is None:
        return False
    filled = max(fill.cumulative_quantity for fill in fills)
    return any(leg.broker_order_id == order_id and leg.filled_quantity < filled for leg in ledger.orders(row.intent_id))


def _count(ledger: Ledger, epoch: int, now: datetime, *, fills: list[NewFill]) -> None:
    for fill in fills:
        applied = ledger.apply_fill(epoch, now, fill)
        if applied.late:
            log.error("fill.late", intent=applied.intent.intent_id, quantity=str(fill.quantity))
