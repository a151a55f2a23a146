"""A model test of the matching engine: whatever is asked of it and in whatever order, its books and rules hold.

(BR-1 … BR-8, DI-6, TS-3.) A failure prints what was done, step by step. `HOLDFAST_MACHINE_RUNS=2000 pytest …` searches
longer than the default.
"""

import os
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast_exchange import matching
from holdfast_exchange.books import in_cash
from holdfast_exchange.commands import Cancel, Command, Replace, Submit, decode, encode
from holdfast_exchange.faults.commands import Halt
from holdfast_exchange.holds import Step
from holdfast_exchange.orders import (
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
)
from holdfast_exchange.venue_commands import Hold, RejectReplacement
from libs.exchange.tests.exchange_floor import OPEN, SHORTS, Floor
from libs.exchange.tests.exchange_walk import (
    CENT,
    COIN,
    INSTANTS,
    SHARE,
    fitting,
    goes_before,
    plain_purchase,
    recorded,
)

RUNS = int(os.environ.get("HOLDFAST_MACHINE_RUNS", "100"))
STEPS = 50
BEGIN = OPEN - timedelta(minutes=95)
SLIPPAGE, VOLUME_SHARE = Decimal(5), Decimal("0.5")
CASH = Decimal(30_000)

side = st.sampled_from(Side)
offset = st.integers(-300, 300).map(lambda points: Decimal(points) / 10_000)
"""Of the present price: up to three percent beside it."""
after = st.sampled_from((0, 0, 1, 1, 2))
"""Minutes that pass."""


class Venue(RuleBasedStateMachine):
    """Everything that an account can ask for, and what must be true after each of it."""

    @initialize(
        seed=st.integers(0, 2**32 - 1),
        shorts=st.booleans(),
        late=st.sampled_from((0, 4, 6, 6, 6, 7, 8)),
        rich=st.booleans(),
    )
    def begin(self, seed: int, shorts: bool, late: int, rich: bool) -> None:
        self.bars, self.quotes = recorded(seed)
        self.volume = {(row.symbol, row.end): row for row in self.bars}
        self.quoted = {(row.symbol, row.end): row for row in self.quotes}
        self.shorts = shorts
        config: dict[str, Any] = SHORTS if shorts else {}
        self.floor = Floor(
            self.bars,
            self.quotes,
            begins=BEGIN,
            slippage_bps=SLIPPAGE,
            volume_share=VOLUME_SHARE,
            starting_cash=CASH,
            **config,
        )
        self.instants = list(INSTANTS)
        self.both_may_fill = False
        for _ in range(late):
            self.tick(self.instants.pop(0))
        if rich:
            for symbol, quantity in ((SHARE, Decimal(50)), (COIN, Decimal("0.5"))):
                self.submit_simple(symbol, Side.BUY, quantity, TimeInForce.GTC)

    # What is done

    def do(self, command: Command) -> None:
        before = self.exchange.state()
        try:
            self.floor.apply(command)
        except Refusal:
            assert self.exchange.state() == before, "a refusal changes nothing"

    def submit_simple(self, symbol: str, side: Side, quantity: Decimal, tif: TimeInForce) -> None:
        new = NewOrder(symbol=symbol, side=side, quantity=quantity, type=OrderType.MARKET, time_in_force=tif)
        self.do(Submit(self.now, new))

    @rule(
        symbol=st.sampled_from((SHARE, SHARE, COIN)),
        side=side,
        kind=st.sampled_from(OrderType),
        tif=st.sampled_from((*TimeInForce, TimeInForce.DAY, TimeInForce.GTC)),
        quantity=st.one_of(st.integers(1, 40), st.decimals("0.001", "5", places=3)),
        limit=offset,
        stop=offset,
        extended=st.sampled_from((False, False, False, True)),
        wild=st.sampled_from((False,) * 9 + (True,)),
        then=after,
    )
    def submit(
        self,
        symbol: str,
        side: Side,
        kind: OrderType,
        tif: TimeInForce,
        quantity: int | Decimal,
        limit: Decimal,
        stop: Decimal,
        extended: bool,
        wild: bool,
        then: int,
    ) -> None:
        """`wild`: whatever does not fit together, too."""
        quantity = Decimal(quantity)
        if symbol == COIN:
            quantity /= 20
        if not wild:
            kind, tif, extended = fitting(symbol, kind, tif, quantity, extended)
        new = NewOrder(
            symbol=symbol,
            side=side,
            quantity=quantity,
            type=kind,
            time_in_force=tif,
            limit_price=self.beside(symbol, limit) if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
            stop_price=self.beside(symbol, stop) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
            trail_price=self.beside(symbol, Decimal(0)) / 100 if kind is OrderType.TRAILING_STOP else None,
            extended_hours=extended,
        )
        self.do(Submit(self.now, new))
        self.pass_time(then)

    @rule(symbol=st.sampled_from((SHARE, COIN)), side=side, dollars=st.integers(1, 3_000))
    def submit_dollars(self, symbol: str, side: Side, dollars: int) -> None:
        tif = TimeInForce.GTC if symbol == COIN else TimeInForce.DAY
        market = OrderType.MARKET
        self.do(
            Submit(
                self.now, NewOrder(symbol=symbol, side=side, notional=Decimal(dollars), type=market, time_in_force=tif)
            )
        )

    @rule(
        side=side,
        kind=st.sampled_from((OrderClass.OTO, OrderClass.OCO, OrderClass.OCO, OrderClass.BRACKET)),
        tif=st.sampled_from((TimeInForce.DAY, TimeInForce.GTC)),
        quantity=st.integers(1, 40),
        gain=st.integers(1, 200),
        loss=st.integers(1, 200),
        limited=st.booleans(),
        then=after,
    )
    def submit_group(
        self,
        side: Side,
        kind: OrderClass,
        tif: TimeInForce,
        quantity: int,
        gain: int,
        loss: int,
        limited: bool,
        then: int,
    ) -> None:
        held = self.exchange.books.held(SHARE)
        if kind is OrderClass.OCO and held:
            side = Side.SELL if held > 0 else Side.BUY
            quantity = min(quantity, int(abs(held))) or 1
        above = side is (Side.SELL if kind is OrderClass.OCO else Side.BUY)
        sign = 1 if above else -1
        take_profit = self.beside(SHARE, Decimal(sign * gain) / 10_000 + sign * CENT / 10)
        stop_loss = self.beside(SHARE, Decimal(-sign * loss) / 10_000 - sign * CENT / 10)
        new = NewOrder(
            symbol=SHARE,
            side=side,
            quantity=Decimal(quantity),
            type=OrderType.LIMIT if kind is OrderClass.OCO or limited else OrderType.MARKET,
            time_in_force=tif,
            limit_price=self.beside(SHARE, Decimal(0)) if limited and kind is not OrderClass.OCO else None,
            order_class=kind,
            take_profit_price=None if kind is OrderClass.OTO and limited else take_profit,
            protect_stop_price=None if kind is OrderClass.OTO and not limited else stop_loss,
            protect_limit_price=stop_loss if gain % 5 == 0 and kind is not OrderClass.OTO else None,
        )
        self.do(Submit(self.now, new))
        self.pass_time(then)

    @precondition(lambda self: self.exchange.open_orders())
    @rule(which=st.integers(0, 30))
    def cancel(self, which: int) -> None:
        self.do(Cancel(self.now, self.some_order(which).id))

    @precondition(lambda self: self.exchange.open_orders())
    @rule(
        which=st.integers(0, 30),
        quantity=st.none() | st.integers(1, 40),
        price=offset,
        tif=st.sampled_from((None, None, None, *TimeInForce)),
    )
    def replace(self, which: int, quantity: int | None, price: Decimal, tif: TimeInForce | None) -> None:
        order = self.some_order(which)
        change = Replacement(
            quantity=None if quantity is None else Decimal(quantity),
            limit_price=self.beside(order.symbol, price) if order.type is OrderType.LIMIT else None,
            stop_price=self.beside(order.symbol, price) if order.type is OrderType.STOP else None,
            trail=Decimal(2) if order.type is OrderType.TRAILING_STOP else None,
            time_in_force=tif,
        )
        self.do(Replace(self.now, order.id, change))

    @rule(
        step=st.sampled_from((None, None, *Step)),
        secs=st.sampled_from((0, 0, 45, 90)),
        symbol=st.sampled_from((SHARE, COIN)),
        wanted=st.sampled_from((False, False, True)),
    )
    def disturb(self, step: Step | None, secs: int, symbol: str, wanted: bool) -> None:
        """A halt, or a delay from now on; every third time that it is drawn."""
        if not wanted:
            self.pass_time(1)
            return
        if step is None:
            self.do(Halt(self.now, symbol, self.now + timedelta(seconds=secs * 3)))
            return
        self.both_may_fill |= step is Step.GROUP and secs > 0
        self.do(Hold(self.now, step, Decimal(secs)))

    @precondition(lambda self: any(order.status is Status.PENDING_REPLACE for order in self.exchange.open_orders()))
    @rule()
    def reject_replacements(self) -> None:
        """Trap 10: the venue thinks better of what it has answered well; the old orders go on."""
        for old in self.exchange.open_orders():
            if old.status is Status.PENDING_REPLACE:
                self.do(RejectReplacement(self.now, old.id))
                assert self.exchange.order(old.id).is_open

    @precondition(lambda self: self.instants)
    @rule()
    def next_minute(self) -> None:
        self.tick(self.instants.pop(0))

    def pass_time(self, times: int) -> None:
        for _ in range(min(times, len(self.instants))):
            self.tick(self.instants.pop(0))

    def tick(self, at: datetime) -> None:
        before = {order.id: order for order in self.exchange.open_orders()}
        known = len(self.exchange.books.fills)
        self.floor.tick(at)
        fills = self.exchange.books.fills[known:]
        self.check_fills(fills, before, at)

    # What must be true

    def check_fills(self, fills: list[Fill], before: dict[str, Order], at: datetime) -> None:
        taken: dict[str, Decimal] = {}
        for fill in fills:
            place = (fill.symbol, at)
            order = before.get(fill.order_id)
            assert order is not None, "only what was there before the tick has filled in it"
            assert place in self.volume, "nothing fills without a bar"
            assert self.volume[place].volume > 0, "nothing fills without volume"
            assert not self.exchange.disturbances.halted(fill.symbol, at), "nothing fills in a halt"
            step = matching.CRYPTO_PRICE_STEP if fill.symbol == COIN else matching.PRICE_STEP
            low, high = matching.envelope(self.volume[place], self.quoted.get(place), SLIPPAGE, step=step)
            assert low <= fill.price <= high, "nothing fills outside its bar"
            if order.limit_price is not None:
                beyond = fill.price - order.limit_price
                assert beyond <= 0 if order.side is Side.BUY else beyond >= 0, "nothing fills beyond its limit"
            assert fill.quantity > 0
            taken[fill.symbol] = taken.get(fill.symbol, Decimal(0)) + fill.quantity
        for symbol, quantity in taken.items():
            assert quantity <= self.volume[symbol, at].volume * VOLUME_SHARE
        self.check_priority(fills, before, at)

    def check_priority(self, fills: list[Fill], before: dict[str, Order], at: datetime) -> None:
        """Who filled had nobody of the same side before him who could have had it."""
        filled = {fill.order_id for fill in fills}
        for order_id in filled:
            late = before[order_id]
            if not plain_purchase(late, at):
                continue
            for first in before.values():
                if first.symbol != late.symbol or not plain_purchase(first, at) or not goes_before(first, late):
                    continue
                after = self.exchange.order(first.id)
                assert after.status is Status.FILLED, f"{late} has filled before {first}"

    @invariant()
    def books_balance(self) -> None:
        books = self.exchange.books
        entries = [each for each in books.activities if not isinstance(each, Fill)]
        spent = sum((in_cash(fill.signed_quantity * fill.price) for fill in books.fills), Decimal(0))
        assert books.cash == CASH - spent + sum((entry.cash for entry in entries), Decimal(0))
        assert books.cash + books.cost_total == CASH + books.realised_total + books.outside_total
        for symbol in (SHARE, COIN):
            bought = sum((fill.signed_quantity for fill in books.fills if fill.symbol == symbol), Decimal(0))
            moved = sum((entry.shares for entry in entries if entry.symbol == symbol), Decimal(0))
            assert books.held(symbol) == bought + moved
            assert books.held(symbol) >= 0 or (self.shorts and symbol == SHARE)

    @invariant()
    def orders_and_fills_agree(self) -> None:
        filled: dict[str, Decimal] = {}
        for fill in self.exchange.books.fills:
            filled[fill.order_id] = filled.get(fill.order_id, Decimal(0)) + fill.quantity
            assert fill.cumulative == filled[fill.order_id]
        for order in self.exchange.orders.values():
            assert order.filled_quantity == filled.get(order.id, 0) <= order.quantity
            assert (order.status is Status.FILLED) == (order.filled_quantity == order.quantity)
            assert order.notional is None or order.filled_value <= order.notional
            assert order.is_open == (order in self.exchange.open_orders())

    @invariant()
    def a_replacement_waits_for_an_order_that_is_there(self) -> None:
        """Trap 16: it is rejected with the end of the old order."""
        for order in self.exchange.open_orders():
            if order.replaces is None or order.status is not Status.PENDING_NEW:
                continue
            assert self.exchange.order(order.replaces).status is Status.PENDING_REPLACE, f"{order} waits for nothing"

    @invariant()
    def legs_wake_after_the_complete_fill_only(self) -> None:
        for order in self.exchange.orders.values():
            if order.parent is None or order.order_class is OrderClass.OCO:
                continue
            entry = self.exchange.order(order.parent)
            if order.filled_quantity or order.armed or order.is_working:
                assert entry.status is Status.FILLED, f"{order} is awake before {entry} is filled"
            if entry.status in (Status.CANCELED, Status.EXPIRED):
                assert not order.is_open, f"{order} has outlived {entry}"

    @invariant()
    def one_of_a_group_ends_the_other(self) -> None:
        for order in self.exchange.orders.values():
            pair = self.pair_of(order)
            if pair is None or self.both_may_fill:
                continue
            first, second = pair
            assert not (first.status is Status.FILLED and second.status is Status.FILLED)
            for one, other in (pair, (second, first)):
                if one.status is Status.FILLED or (one.status is Status.CANCELED and not other.triggered):
                    assert not other.is_open, f"{other} has outlived {one}"

    def pair_of(self, order: Order) -> tuple[Order, Order] | None:
        """The take profit and stop loss of a group whose head is `order`."""
        if order.order_class is OrderClass.OCO and order.legs:
            # A head that was replaced has left its legs to the next one.
            return None if order.status is Status.REPLACED else (order, self.exchange.order(order.legs[0]))
        if order.order_class is OrderClass.BRACKET and len(order.legs) == 2:
            return self.exchange.order(order.legs[0]), self.exchange.order(order.legs[1])
        return None

    def teardown(self) -> None:
        """TS-3: the journal, written down and read back, gives the same state at every length."""
        if not hasattr(self, "floor"):
            return
        read = [decode(encode(command)) for command in self.floor.commands]
        assert read == self.floor.commands
        restored = self.floor.again(read[: len(read) // 2])
        for command in read[len(read) // 2 :]:
            restored.apply(command)
        assert restored.state() == self.exchange.state()

    # Words

    @property
    def exchange(self) -> Any:
        return self.floor.exchange

    @property
    def now(self) -> datetime:
        now: datetime = self.exchange.now
        return now

    def beside(self, symbol: str, part: Decimal) -> Decimal:
        """A price on the tick, `part` away from the present one."""
        price = self.exchange.market.price(symbol) or Decimal(100 if symbol == SHARE else 8_000)
        return (price * (1 + part)).quantize(CENT)

    def some_order(self, which: int) -> Order:
        orders: list[Order] = self.exchange.open_orders()
        return orders[which % len(orders)]


TestVenue = Venue.TestCase
TestVenue.settings = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
