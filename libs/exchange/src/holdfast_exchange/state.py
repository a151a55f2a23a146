"""What an exchange consists of, and everything that can be asked of it. Nothing here changes anything.

The parts that change it take a State: `submitting`, `changing` (cancel, replace), `advancing`, `filling`.
"""

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid5

from holdfast_core.new_york import new_york_midnight
from holdfast_exchange import account, admission
from holdfast_exchange.assets import Asset, asset_of
from holdfast_exchange.blotter import NAMESPACE, Blotter
from holdfast_exchange.books import Books, Position
from holdfast_exchange.config import ExchangeConfig
from holdfast_exchange.corporate_actions import SPLITS
from holdfast_exchange.faults.board import FaultBoard
from holdfast_exchange.faults.disturbances import Disturbances
from holdfast_exchange.holds import Holds
from holdfast_exchange.hours import Hours
from holdfast_exchange.market import Market
from holdfast_exchange.orders import ZERO, Order


class State:
    """One account on one market."""

    def __init__(self, run_id: str, market: Market, config: ExchangeConfig) -> None:
        self.market = market
        self.config = config
        self.now = market.released
        self.tick = 0
        self.books = Books.opened(config.starting_cash)
        self.account = account.Account.opened(
            config.account, market.released, config.starting_cash, market.corporate_actions
        )
        for action in market.corporate_actions:
            if action.kind in SPLITS and action.id in self.account.taken:
                morning = new_york_midnight(action.ex_date)
                market.restatements.add(action.symbol, 1 / action.ratio, until=morning, since=morning)
        self.blotter = Blotter(run_id)
        self.faults = FaultBoard()
        self.disturbances = Disturbances()
        self.holds = Holds.for_all(timedelta(seconds=float(config.pending_secs)))
        self.hours = Hours(self.disturbances)
        self.account_id = str(uuid5(self.blotter.namespace, "account"))

    @property
    def orders(self) -> dict[str, Order]:
        """Every order ever, in order of acceptance."""
        return self.blotter.orders

    def order(self, order_id: str) -> Order:
        """Raises Refusal 404."""
        if order_id not in self.orders:
            raise admission.not_found(order_id)
        return self.orders[order_id]

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        return self.blotter.by_client_id(client_order_id)

    def open_orders(self) -> list[Order]:
        """Orders that are not terminal, in order of acceptance."""
        return self.blotter.open()

    def asset(self, symbol: str) -> Asset:
        """What is known about a symbol, recorded or not. One that was merged or renamed is not tradable."""
        found = asset_of(symbol, self.config.assets)
        return replace(found, tradable=False) if symbol in self.account.gone else found

    def symbol_named(self, text: str) -> str:
        """The symbol behind a symbol, an asset id or a pair without its stroke; the text itself where there is none."""
        symbols = self.market.symbols
        if text in symbols:
            return text
        return next((each for each in symbols if text in (each.replace("/", ""), self.asset_id(each))), text)

    def asset_id(self, symbol: str) -> str:
        return str(uuid5(NAMESPACE, f"asset/{symbol}"))

    def market_value(self) -> Decimal:
        """What the positions are worth at the newest visible prices, in dollars."""
        return sum((self.value_of(position) for position in self.books.positions.values()), ZERO)

    def value_of(self, position: Position) -> Decimal:
        """What a position is worth at the newest visible price, in dollars; negative where it is short."""
        if position.symbol in self.market.symbols:
            value = self.market.value(position.symbol, position.quantity)
            if value is not None:
                return value
        return position.cost

    def price_of(self, symbol: str) -> Decimal:
        """Newest visible price of a symbol that is held: its average price before the first."""
        price = self.price_now(symbol)
        return self.books.positions[symbol].average_price if price is None else price

    def price_now(self, symbol: str) -> Decimal | None:
        """Newest visible price, in present shares; None where none is recorded."""
        return self.market.price(symbol) if symbol in self.market.symbols else None

    def equity(self) -> Decimal:
        return self.books.cash + self.market_value()

    def buying_power(self, *, leaving: str | None = None) -> Decimal:
        """What orders that open positions may cost, net of open orders (`leaving` is being replaced), in dollars."""
        return account.balances(self, leaving=leaving).buying_power

    def cost_price(self, symbol: str, limit_price: Decimal | None, stop_price: Decimal | None) -> Decimal:
        """Dollars a share that a purchase reserves."""
        if limit_price is not None:
            return limit_price
        quote = self.market.last_quote(symbol)
        if quote is None:
            seen = self.market.price(symbol)
        else:
            seen = self.market.restatements.price(symbol, quote.ask_close, quote.end)
        return max(price for price in (stop_price, seen, ZERO) if price is not None)

    def state(self) -> dict[str, Any]:
        """Everything that a restored exchange must have alike."""
        return {
            "tick": self.tick,
            "now": self.now,
            "released": self.market.released,
            "orders": dict(self.orders),
            "open": [order.id for order in self.open_orders()],
            "books": deepcopy(self.books),
            "account": deepcopy(self.account),
            "executions": self.blotter.executions,
            "disturbances": deepcopy(self.disturbances),
            "holds": deepcopy(self.holds),
            "faults": (self.faults.plan, {name: tally.fired for name, tally in self.faults.tallies.items()}),
            "restatements": deepcopy(self.market.restatements),
            "scaled": tuple(self.market.scaled),
        }
