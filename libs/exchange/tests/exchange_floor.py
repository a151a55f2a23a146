"""A small market made by hand: one symbol, a few minutes of Monday 2013-10-07 (open 13:30 UTC, close 20:00 UTC)."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from holdfast_exchange.account import AccountConfig
from holdfast_exchange.commands import Advance, Command, Submit
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.orders import Intent, NewOrder, Order, OrderClass, OrderType, Side, TimeInForce, Update
from holdfast_exchange.recording import MINUTE, Bar, QuoteBar, Recording

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
CLOSE = datetime(2013, 10, 7, 20, 0, tzinfo=UTC)
SHORTS: dict[str, Any] = {
    "account": AccountConfig(multiplier=2, configuration=Configuration(no_shorting=False)),
}
"""An account that may sell what it does not hold."""


def bar(minute: int, open_: str, high: str, low: str, close: str, volume: int = 1_000, symbol: str = "SPY") -> Bar:
    """The bar that starts `minute` minutes after the open."""
    start = OPEN + MINUTE * minute
    prices = [Decimal(price) for price in (open_, high, low, close)]
    return Bar(symbol, start, start + MINUTE, *prices, Decimal(volume))


def quote(minute: int, bid: str, ask: str, symbol: str = "SPY") -> QuoteBar:
    """A quote that stood still over that minute."""
    start = OPEN + MINUTE * minute
    size = Decimal(100)
    return QuoteBar(symbol, start, start + MINUTE, *[Decimal(bid)] * 4, size, *[Decimal(ask)] * 4, size)


def asked(side: str, quantity: Any, kind: str = "market", **fields: Any) -> NewOrder:
    """An order as it is asked for, of SPY unless `symbol` says otherwise."""
    numbers = {
        name: Decimal(value)
        for name, value in fields.items()
        if (name.endswith("_price") or name in ("notional", "trail_percent")) and value is not None
    }
    return NewOrder(
        symbol=fields.get("symbol", "SPY"),
        side=Side(side),
        quantity=Decimal(quantity),
        type=OrderType(kind),
        time_in_force=TimeInForce(fields.get("tif", "day")),
        client_order_id=fields.get("client_order_id", ""),
        order_class=OrderClass(fields["order_class"]) if fields.get("order_class") else None,
        extended_hours=fields.get("extended_hours", False),
        intent=Intent(fields["intent"]) if "intent" in fields else None,
        **numbers,
    )


class Floor:
    """An exchange over hand-made rows, with short words for what tests do to it."""

    def __init__(
        self, bars: list[Bar], quotes: list[QuoteBar], *, begins: datetime = OPEN - MINUTE, **config: Any
    ) -> None:
        symbols = tuple(sorted({row.symbol for row in bars}))
        recording = Recording(
            symbols=symbols, minute_bars=tuple(bars), minute_quotes=tuple(quotes), daily_bars=(), quarantined=()
        )
        self.commands: list[Command] = []
        self.updates: list[Update] = []
        self._recording, self._begins = recording, begins
        self._config = ExchangeConfig(**{"slippage_bps": Decimal(0)} | config)
        self.exchange = self.again([])

    def again(self, commands: list[Command]) -> Exchange:
        """A new exchange that has taken `commands`."""
        exchange = Exchange("test-run", Market(self._recording, self._begins), self._config)
        for command in commands:
            exchange.apply(command)
        return exchange

    def apply(self, command: Command) -> Order | None:
        outcome = self.exchange.apply(command)
        self.commands.append(command)
        self.updates += outcome.updates
        return outcome.order

    def tick(self, at: datetime) -> None:
        """Makes data visible up to `at`."""
        self.apply(Advance(self.exchange.tick + 1, at, data=True))

    def minute(self, number: int) -> None:
        """Makes the bar visible that starts `number` minutes after the open."""
        self.tick(OPEN + MINUTE * (number + 1))

    def order(self, side: str, quantity: Any, kind: str = "market", **fields: Any) -> Order:
        """`f.order("sell", 10, "stop", stop_price="90", tif="gtc")`; quantity 0 with `notional` for one in dollars."""
        made = self.apply(Submit(self.exchange.now, asked(side, quantity, kind, **fields)))
        assert made is not None
        return made

    def now(self, order: Order) -> Order:
        """The order as it is now."""
        return self.exchange.order(order.id)

    @property
    def events(self) -> list[str]:
        return [update.event for update in self.updates]
