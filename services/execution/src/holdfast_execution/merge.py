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
from holdfast_execution.domain.intents import AT_BROKER, IntentState
from holdfast_execution.domain.statuses import is_over
from holdfast_execution.ledger import Ledger, LedgerReads
from holdfast_execution.rows import IntentRow, NewFill
from holdfast_runtime.ports.venue import Broker, BrokerOrder
from holdfast_runtime.telemetry import traces

log = structlog.get_logger()

DISCREPANT = "MERGE_DISCREPANT"
"""Lock of entries: after the merge the ledger's positions still differ from the broker's."""
FOREIGN_ORDER = "foreign_order"
"""Kind of the halt of a symbol in which somebody else trades."""
FILLS_MARGIN = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
READS = 3
"""Comparisons before a difference is believed: a fill may come between two reads."""


class Merger:
    """Reads the broker and takes its word over."""

    def __init__(self, books: Books, broker: Broker, adopter: Adopter) -> None:
        self._books = books
        self._broker = broker
        self._adopter = adopter
        self._one_at_a_time = asyncio.Lock()
        self._not_ours: set[str] = set()
        """Orders of the newest fills that belong to nothing here: asked about once."""

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
        if await self._find_legs(mirror):
            mirror = await self._books.look()
        orders = {order.order_id: order for order in flat(await self._broker.orders(open_only=True))}
        details = await self._details(mirror)
        for resting in orders.values():
            await self.take(resting, details.get(resting.order_id, []))
        for intent in mirror.intents:
            if intent.broker_order_id in orders or not _may_be_at_broker(intent):
                continue
            order = await self._find(intent)
            if order is not None:
                await self.take(order, details.get(order.order_id, []))
        # Fees, splits, dividends: they change position or cash, and no order tells of them.
        await self._adopter.take_fees(self._since(mirror))

    def _since(self, mirror: Mirror) -> datetime:
        return min([intent.created_at for intent in mirror.intents] + [self._books.now - FILLS_MARGIN])

    async def _details(self, mirror: Mirror) -> dict[str, list[NewFill]]:
        since = self._since(mirror)
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
        self._not_ours &= late.keys()
        for order_id, fills in sorted(late.items()):
            if order_id in self._not_ours:
                continue
            if not await self._books.read(partial(_is_known, order_id=order_id)):
                await self._take_unknown(order_id)
            elif await self._books.read(partial(_is_short, order_id=order_id, fills=fills)):
                await self._books.write(partial(_count, fills=fills))

    async def _take_unknown(self, order_id: str) -> None:
        """It may be a leg, or an order that arrived after its end was declared, and filled while nobody listened."""
        order = await self._broker.order(order_id)
        if order is None or (await self.take(order, [])).intent is None:
            self._not_ours.add(order_id)

    async def _find(self, intent: IntentRow) -> BrokerOrder | None:
        if intent.broker_order_id:
            return await self._broker.order(intent.broker_order_id)
        return await self._broker.order_by_client_id(intent.client_order_id)

    async def take(self, order: BrokerOrder, details: list[NewFill]) -> Adopted:
        """One order's news; a foreign one halts its symbol."""
        adopted = await self._adopter.apply(order, details)
        if adopted.intent is not None:
            await self._complete(order, adopted.intent)
            return adopted
        if is_over(order) and not order.filled_quantity:
            return adopted
        if await self._find_origin(order):
            adopted = await self._adopter.apply(order, details)
        if adopted.intent is not None or is_over(order) or await self._has_ended(order):
            return adopted
        log.error("order.foreign", order=order.order_id, symbol=order.symbol)
        await self._books.write(
            lambda ledger, epoch, now: ledger.add_halt(
                epoch,
                now,
                FOREIGN_ORDER,
                f"order {order.order_id} ({order.side} {order.quantity} {order.symbol}) is not ours",
                symbol=order.symbol,
            )
        )
        return adopted

    async def _complete(self, order: BrokerOrder, entry: IntentRow) -> None:
        """An entry that filled although its answer was lost: nobody has told of its leg, which holds the shares."""
        if not entry.sent_with_stop or entry.state is not IntentState.FILLED or order.legs:
            return
        mirror = await self._books.look()
        if any(each.parent_intent_id == entry.intent_id for each in mirror.of_symbol(entry.symbol)):
            return
        for alone in await self._books.read(partial(_alone, symbols={entry.symbol}, since=entry.updated_at - INSTANT)):
            if alone.intent_id == entry.intent_id:
                await self._read_leg(alone)

    async def _find_legs(self, mirror: Mirror) -> bool:
        """What is held without its stop may have one at the broker that was never heard of. True where it was read."""
        bare = [each for each in mirror.positions.values() if each.quantity and each.protection != "active"]
        if not bare:
            return False
        since = min(each.opened_at or each.updated_at for each in bare) - INSTANT
        entries = await self._books.read(partial(_alone, symbols={each.symbol for each in bare}, since=since))
        for entry in entries:
            await self._read_leg(entry)
        return bool(entries)

    async def _find_origin(self, order: BrokerOrder) -> bool:
        """A replacement is known through what it replaced, and a leg, whose id is of the broker's making, through its
        parent. True where something was taken over."""
        if order.replaces:
            replaced = await self._books.read(
                lambda ledger: ledger.intent_of_order(broker_order_id=order.replaces or "")
            )
            if replaced is not None and replaced.open and replaced.broker_order_id == order.replaces:
                await self._adopter.replaced(replaced, order)
                return True
        if order.client_order_id.startswith(CLIENT_ORDER_ID_PREFIX):
            return False
        since = self._books.now - FILLS_MARGIN
        entries = await self._books.read(partial(_alone, symbols={order.symbol}, since=since))
        for entry in entries:
            await self._read_leg(entry)
        return bool(entries)

    async def _has_ended(self, order: BrokerOrder) -> bool:
        """News of the stream may be old: a leg that woke and ended in one moment was never worth an intent."""
        read = await self._broker.order(order.order_id)
        return read is not None and is_over(read) and not read.filled_quantity

    async def _read_leg(self, entry: IntentRow) -> None:
        """Reads an entry again, with its leg, and takes both over."""
        read = await self._broker.order(entry.broker_order_id)
        for each in flat([read] if read is not None else []):
            await self._adopter.apply(each)

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


def flat(orders: list[BrokerOrder]) -> list[BrokerOrder]:
    """Orders and their legs, parents first: a leg is known through its parent."""
    return [each for order in orders for each in (order, *order.legs)]


def _may_be_at_broker(intent: IntentRow) -> bool:
    return intent.state in AT_BROKER or intent.state in (IntentState.UNKNOWN, IntentState.SENDING)


def _is_known(ledger: LedgerReads, *, order_id: str) -> bool:
    return ledger.intent_of_order(broker_order_id=order_id) is not None


def _is_short(ledger: LedgerReads, *, order_id: str, fills: list[NewFill]) -> bool:
    """True where an order of ours has filled more than was counted."""
    return ledger.counted(order_id) < max(fill.cumulative_quantity for fill in fills)


def _count(ledger: Ledger, epoch: int, now: datetime, *, fills: list[NewFill]) -> None:
    for fill in fills:
        applied = ledger.apply_fill(epoch, now, fill)
        if applied.late:
            log.error("fill.late", intent=applied.intent.intent_id, quantity=str(fill.quantity))


def _alone(ledger: LedgerReads, *, symbols: set[str], since: datetime) -> list[IntentRow]:
    """Entries at the broker, open ones or such that ended since, whose leg nobody has told of."""
    intents = ledger.ledger_state(since).intents
    accompanied = {intent.parent_intent_id for intent in intents}
    return [
        intent
        for intent in intents
        if intent.sent_with_stop
        and intent.symbol in symbols
        and intent.intent_id not in accompanied
        and intent.broker_order_id
    ]
