"""A venue in memory: one account, its orders and books, matched against a recording.

Pure and deterministic: no clock, no chance, no I/O. The same commands give the same ids, fills and cash, so a journal
of commands restores an exchange that was killed (TS-3, BR-1 … BR-8 as far as this version goes).
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from holdfast_core.sessions import is_open, next_close
from holdfast_exchange import admission, matching
from holdfast_exchange.assets import Asset, asset_of
from holdfast_exchange.books import Books
from holdfast_exchange.commands import Advance, Cancel, Command, Replace, Submit
from holdfast_exchange.market import Market
from holdfast_exchange.orders import (
    ZERO,
    Fill,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    Refusal,
    Replacement,
    Side,
    Status,
    TimeInForce,
    Update,
)
from holdfast_exchange.recording import Bar

GOOD_TILL = timedelta(days=90)
_NAMESPACE = UUID("6f1d2d9e-52a4-5b51-9d7a-0f5d0a5c7e11")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConfig:
    """How the account starts and how generous the market is."""

    starting_cash: Decimal = Decimal(100_000)
    slippage_bps: Decimal = Decimal(1)
    volume_share: Decimal = Decimal(1)
    """Part of a bar's volume that the account's orders may take."""
    assets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Fields of `assets.Asset` that differ from the defaults, by symbol."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has done: the order it made, if any, and the updates, in order."""

    order: Order | None = None
    updates: list[Update] = field(default_factory=list)


class Exchange:
    """One account on one market. Commands go through `apply`; everything else only reads."""

    def __init__(self, run_id: str, market: Market, config: ExchangeConfig) -> None:
        self.market = market
        self.config = config
        self.now = market.released
        self.tick = 0
        self.books = Books.opened(config.starting_cash)
        self.orders: dict[str, Order] = {}
        """Every order ever, in order of acceptance."""
        self._namespace = uuid5(_NAMESPACE, run_id)
        self.account_id = str(uuid5(self._namespace, "account"))
        self._open: dict[str, None] = {}
        self._by_client_id: dict[str, str] = {}
        self._executions = 0

    def apply(self, command: Command) -> Outcome:
        """Takes one command. Raises Refusal, and then nothing has changed."""
        before = self.now
        self.now = max(before, command.at)
        try:
            match command:
                case Advance():
                    return self._advance(command)
                case Submit(order=new):
                    return self._submit(new)
                case Cancel(order_id=order_id):
                    return Outcome(updates=self._cancel(self.order(order_id)))
                case Replace(order_id=order_id, change=change):
                    return self._replace(self.order(order_id), change)
        except Refusal:
            self.now = before
            raise

    # Reading

    def order(self, order_id: str) -> Order:
        """Raises Refusal 404."""
        if order_id not in self.orders:
            raise admission.not_found(order_id)
        return self.orders[order_id]

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        order_id = self._by_client_id.get(client_order_id)
        return None if order_id is None else self.orders[order_id]

    def open_orders(self) -> list[Order]:
        """Orders that are not terminal, in order of acceptance."""
        return [self.orders[order_id] for order_id in self._open]

    def asset(self, symbol: str) -> Asset:
        """What is known about a symbol, recorded or not."""
        return asset_of(symbol, self.config.assets)

    def asset_id(self, symbol: str) -> str:
        return str(uuid5(_NAMESPACE, f"asset/{symbol}"))

    def market_value(self) -> Decimal:
        """What the positions are worth at the newest visible prices, in dollars."""
        return sum((p.quantity * self.price_of(p.symbol) for p in self.books.positions.values()), ZERO)

    def price_of(self, symbol: str) -> Decimal:
        """Newest visible price of a symbol that is held: its average price before the first."""
        price = self.market.price(symbol)
        return self.books.positions[symbol].average_price if price is None else price

    def equity(self) -> Decimal:
        return self.books.cash + self.market_value()

    def buying_power(self, *, leaving: str | None = None) -> Decimal:
        """Cash that no open purchase has reserved (`leaving` is being replaced)."""
        reserved = ZERO
        for order in self.open_orders():
            if order.side is Side.BUY and order.status in admission.HOLDING and order.id != leaving:
                reserved += order.remaining * self._cost_price(order.symbol, order.limit_price, order.stop_price)
        return self.books.cash - reserved

    def state(self) -> dict[str, Any]:
        """Everything that a restored exchange must have alike."""
        return {
            "tick": self.tick,
            "now": self.now,
            "released": self.market.released,
            "orders": dict(self.orders),
            "open": list(self._open),
            "books": deepcopy(self.books),
            "executions": self._executions,
        }

    # Commands

    def _submit(self, new: NewOrder) -> Outcome:
        if new.symbol not in self.market.symbols:
            raise admission.unprocessable(f'asset "{new.symbol}" not found')
        if not self.asset(new.symbol).tradable:
            raise admission.unprocessable(f"asset {new.symbol} is not tradable")
        admission.check_shape(new)
        self._check_client_id(new.client_order_id)
        price = self.market.price(new.symbol)
        if new.stop_price is not None:
            admission.check_stop(new.side, new.stop_price, price)
        admission.check_protection(new, price)
        admission.check_wash_trade(new, self.open_orders())
        if new.side is Side.SELL:
            admission.check_shares(new.symbol, new.quantity, self.books.held(new.symbol), self.open_orders())
        else:
            cost = new.quantity * self._cost_price(new.symbol, new.limit_price, new.stop_price)
            admission.check_buying_power(cost, self.buying_power())
        status = Status.NEW if is_open(self.now) else Status.ACCEPTED
        protected = new.protect_stop_price is not None
        order = self._made(new, status, OrderClass.OTO if protected else OrderClass.SIMPLE)
        self._put(order)
        if protected:
            leg = self._leg_of(order, new)
            self._put(leg)
            order = self._put(replace(order, leg=leg.id))
        return Outcome(order, [self._update("new", order)] if status is Status.NEW else [])

    def _cancel(self, order: Order) -> list[Update]:
        admission.check_cancelable(order)
        group = [order]
        if order.leg is not None and self.orders[order.leg].is_open:
            group.append(self.orders[order.leg])
        if order.status is Status.HELD and order.parent is not None and self.orders[order.parent].is_open:
            group.insert(0, self.orders[order.parent])
        return [self._end(member, Status.CANCELED, canceled_at=self.now) for member in group]

    def _replace(self, old: Order, change: Replacement) -> Outcome:
        admission.check_replaceable(old)
        self._check_client_id(change.client_order_id)
        quantity = old.remaining if change.quantity is None else change.quantity
        admission.check_quantity(quantity)
        limit_price = old.limit_price if change.limit_price is None else change.limit_price
        stop_price = old.stop_price if change.stop_price is None else change.stop_price
        if (limit_price is None) != (old.limit_price is None) or (stop_price is None) != (old.stop_price is None):
            raise admission.unprocessable(f"{old.type.value} orders do not have that price")
        admission.check_price("limit_price", limit_price)
        admission.check_price("stop_price", stop_price)
        if stop_price is not None and not old.triggered:
            admission.check_stop(old.side, stop_price, self.market.price(old.symbol))
        if old.side is Side.SELL:
            held = self.books.held(old.symbol)
            admission.check_shares(old.symbol, quantity, held, self.open_orders(), leaving=old.id)
        else:
            cost = quantity * self._cost_price(old.symbol, limit_price, stop_price)
            admission.check_buying_power(cost, self.buying_power(leaving=old.id))
        asked = NewOrder(
            symbol=old.symbol,
            side=old.side,
            quantity=quantity,
            type=old.type,
            time_in_force=change.time_in_force or old.time_in_force,
            client_order_id=change.client_order_id,
            limit_price=limit_price,
            stop_price=stop_price,
        )
        made = self._made(asked, Status.NEW, old.order_class)
        made = replace(made, replaces=old.id, parent=old.parent, triggered=old.triggered)
        replaced = self._end(old, Status.REPLACED, replaced_at=self.now, replaced_by=made.id)
        self._put(made)
        if old.parent is not None:
            self._put(replace(self.orders[old.parent], leg=made.id))
        return Outcome(made, [replaced, self._update("new", made)])

    def _advance(self, command: Advance) -> Outcome:
        self.tick = command.number
        updates: list[Update] = []
        if command.data:
            self.market.release(command.at)
            if is_open(self.now):
                for order in self.open_orders():
                    if order.status is Status.ACCEPTED:
                        opened = self._put(self._touched(order, status=Status.NEW, active_from=self.now))
                        updates.append(self._update("new", opened))
            for symbol, bar in self.market.bars_ending(command.at).items():
                self._match_symbol(symbol, bar, updates)
            self._sweep(updates)
        return Outcome(updates=updates)

    # Matching

    def _match_symbol(self, symbol: str, bar: Bar, updates: list[Update]) -> None:
        left = matching.capacity(bar, self.config.volume_share)
        quote = self.market.quotes_ending(bar.end).get(symbol)
        for order in self.open_orders():
            if order.symbol != symbol or not order.is_working or left <= 0:
                continue
            prices = matching.prices_for(order, bar, quote)
            if prices is None:
                continue
            met = matching.match(order, prices, self.config.slippage_bps)
            if met.triggered != order.triggered:
                order = self._put(self._touched(order, triggered=met.triggered))
            if met.price is not None:
                quantity = min(left, order.remaining)
                if order.side is Side.SELL:
                    # A leg wakes with its parent's whole quantity, of which some may have been sold meanwhile.
                    quantity = min(quantity, self.books.held(symbol))
                    if not quantity:
                        updates.append(self._end(order, Status.CANCELED, canceled_at=self.now))
                        continue
                left -= quantity
                self._fill(order, met.price, quantity, updates)

    def _fill(self, order: Order, price: Decimal, quantity: Decimal, updates: list[Update]) -> None:
        self._executions += 1
        cumulative = order.filled_quantity + quantity
        complete = cumulative == order.quantity
        fill = Fill(
            id=str(uuid5(self._namespace, f"execution/{self._executions}")),
            order_id=order.id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            cumulative=cumulative,
            leaves=order.quantity - cumulative,
            at=self.now,
        )
        self.books.apply(fill)
        order = self._touched(
            order,
            status=Status.FILLED if complete else Status.PARTIALLY_FILLED,
            filled_quantity=cumulative,
            filled_value=order.filled_value + price * quantity,
            filled_at=self.now,
        )
        self._put(order)
        held = self.books.held(order.symbol)
        event = "fill" if complete else "partial_fill"
        updates.append(Update(event=event, order=order, at=self.now, fill=fill, position_quantity=held))
        if complete and order.leg is not None and self.orders[order.leg].status is Status.HELD:
            leg = self._touched(self.orders[order.leg], status=Status.NEW, active_from=self.now)
            updates.append(self._update("new", self._put(leg)))

    def _sweep(self, updates: list[Update]) -> None:
        """After matching: what was immediate-or-cancel has had its chance, and the session's close ends DAY orders."""
        for order in self.open_orders():
            current = self.orders[order.id]
            if not current.is_open:
                continue
            chance_gone = current.time_in_force is TimeInForce.IOC and current.is_working
            if chance_gone and current.active_from < self.now:
                updates.extend(self._cancel(current))
            elif current.expires_at <= self.now:
                updates.append(self._end(current, Status.EXPIRED, expired_at=self.now))

    # Making orders

    def _made(self, new: NewOrder, status: Status, order_class: OrderClass) -> Order:
        sequence = len(self.orders) + 1
        order_id = str(uuid5(self._namespace, f"order/{sequence}"))
        return Order(
            id=order_id,
            sequence=sequence,
            client_order_id=new.client_order_id or str(uuid5(self._namespace, f"client/{sequence}")),
            symbol=new.symbol,
            side=new.side,
            quantity=new.quantity,
            type=new.type,
            time_in_force=new.time_in_force,
            order_class=order_class,
            status=status,
            created_at=self.now,
            updated_at=self.now,
            active_from=self.now,
            expires_at=self.now + GOOD_TILL if new.time_in_force is TimeInForce.GTC else next_close(self.now),
            limit_price=new.limit_price,
            stop_price=new.stop_price,
        )

    def _leg_of(self, parent: Order, new: NewOrder) -> Order:
        asked = NewOrder(
            symbol=parent.symbol,
            side=Side.SELL if parent.side is Side.BUY else Side.BUY,
            quantity=parent.quantity,
            type=OrderType.STOP,
            time_in_force=parent.time_in_force,
            stop_price=new.protect_stop_price,
        )
        return replace(self._made(asked, Status.HELD, OrderClass.OTO), parent=parent.id)

    def _check_client_id(self, client_order_id: str) -> None:
        if client_order_id and client_order_id in self._by_client_id:
            raise Refusal(422, admission.NOT_UNIQUE, "client_order_id must be unique")

    def _cost_price(self, symbol: str, limit_price: Decimal | None, stop_price: Decimal | None) -> Decimal:
        """Dollars a share that a purchase reserves."""
        if limit_price is not None:
            return limit_price
        quote = self.market.last_quote(symbol)
        seen = quote.ask_close if quote is not None else self.market.price(symbol)
        return max(price for price in (stop_price, seen, ZERO) if price is not None)

    # Keeping orders

    def _put(self, order: Order) -> Order:
        self.orders[order.id] = order
        self._by_client_id[order.client_order_id] = order.id
        if order.is_open:
            self._open[order.id] = None
        else:
            self._open.pop(order.id, None)
        return order

    def _touched(self, order: Order, **changes: Any) -> Order:
        return replace(order, updated_at=self.now, **changes)

    def _end(self, order: Order, status: Status, **changes: Any) -> Update:
        event = {Status.CANCELED: "canceled", Status.EXPIRED: "expired", Status.REPLACED: "replaced"}[status]
        return self._update(event, self._put(self._touched(order, status=status, **changes)))

    def _update(self, event: str, order: Order) -> Update:
        return Update(event=event, order=order, at=self.now)
