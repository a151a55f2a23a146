"""What the account may do with its money: buying power, margins, day trades (BR-7, RC-4).

Rules are Alpaca's for US equities. Multiplier 1 spends cash; 2 spends twice the equity that no position needs
(Regulation T); 4 is a day trader's account, whose buying power comes from the last session's close. Crypto is never
bought on margin. Short sales need a multiplier of 2 or more and the owner's leave.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from holdfast_core.new_york import new_york_day, new_york_midnight
from holdfast_core.sessions import previous_session, sessions_between
from holdfast_exchange.admission import is_waiting
from holdfast_exchange.configuration import Check, Configuration
from holdfast_exchange.corporate_actions import CorporateAction
from holdfast_exchange.corporate_bookings import Owed
from holdfast_exchange.fees import CryptoVolume, FeeSchedule
from holdfast_exchange.orders import ZERO, Fill, Order, Refusal, Side

if TYPE_CHECKING:
    from holdfast_exchange.state import State

FORBIDDEN = 40310000
PATTERN_DAY_TRADING = 40310100
DAY_TRADES_FREE = 3
DAY_TRADE_SESSIONS = 5
DAY_TRADER_EQUITY = Decimal(25_000)
SHORT_EQUITY = Decimal(2_000)
"""Least equity of an account that may short."""
SHORT_MARKUP = Decimal("1.03")
"""A short sale is reckoned at its limit, or at 3 % above the ask where that is more."""
HALF = Decimal("0.5")
MAINTENANCE = Decimal("0.3")
CHEAP_LONG, CHEAP_SHORT = Decimal("2.5"), Decimal(5)
"""Below these prices a position needs its whole value, or the amount a share, as maintenance margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """How the account was opened."""

    multiplier: int = 1
    """1, 2 or 4."""
    settlement_days: int = 1
    """Sessions after which the proceeds of a sale of equities are settled."""
    spend_unsettled: bool = True
    """False: an account of multiplier 1 buys with settled cash only."""
    fees: FeeSchedule = field(default_factory=FeeSchedule)
    configuration: Configuration = field(default_factory=Configuration)

    def __post_init__(self) -> None:
        if self.multiplier not in (1, 2, 4):
            raise ValueError(f"a margin multiplier is 1, 2 or 4, not {self.multiplier}")


@dataclass(frozen=True, slots=True)
class DayStart:
    """The account as a day of New York found it."""

    day: date
    ends: datetime
    """The next midnight of New York."""
    equity: Decimal
    """At the end of the day before, in dollars."""
    maintenance: Decimal
    held: dict[str, Decimal] = field(default_factory=dict)
    """Shares by symbol, after the splits of this morning."""


@dataclass(slots=True)
class Account:
    """What the account is besides its books."""

    config: AccountConfig
    configuration: Configuration
    today: DayStart
    crypto_volume: CryptoVolume = field(default_factory=CryptoVolume)
    actions: list[CorporateAction] = field(default_factory=list)
    """Every corporate action that the recording has or that was announced, in the order in which they take effect."""
    taken: list[str] = field(default_factory=list)
    """Ids of those that have taken effect."""
    owed: list[Owed] = field(default_factory=list)
    """Dividends that have not been paid yet."""
    gone: frozenset[str] = frozenset()
    """Symbols that do not trade any more: merged or renamed."""

    @classmethod
    def opened(
        cls, config: AccountConfig, at: datetime, cash: Decimal, actions: Iterable[CorporateAction] = ()
    ) -> "Account":
        """An account opened at `at`. What has taken effect before concerns nobody any more."""
        day, known = new_york_day(at), sorted(actions, key=lambda action: action.place)
        account = cls(
            config, config.configuration, DayStart(day, new_york_midnight(day + timedelta(days=1)), cash, ZERO)
        )
        account.actions = known
        account.taken = [action.id for action in known if action.ex_date <= day]
        return account


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """All amounts in dollars; values of short positions are negative."""

    cash: Decimal
    unsettled: Decimal
    long_value: Decimal
    short_value: Decimal
    equity: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    multiplier: int
    reserved: Decimal
    """By open orders that would open positions."""
    regt_buying_power: Decimal
    daytrading_buying_power: Decimal
    non_marginable_buying_power: Decimal
    """Settled cash that nothing needs: crypto is bought with it."""
    buying_power: Decimal
    """Never cut off at zero here: an account may be over-committed."""


def multiplier(state: "State") -> int:
    """The account's, within what its owner allows."""
    account = state.account
    return min(account.config.multiplier, int(account.configuration.max_margin_multiplier))


def may_short(state: "State") -> bool:
    """True where the account may sell what it does not hold: then a sale of any fill may open a short position."""
    return shorting_enabled(state) and not state.account.configuration.no_shorting


def shorting_enabled(state: "State") -> bool:
    """True where the account is one that could short, if its owner allowed it."""
    return multiplier(state) >= 2 and state.account.today.equity >= SHORT_EQUITY


def settles_on(state: "State", at: datetime) -> date:
    """The day from which the proceeds of an equity sale at `at` are settled cash."""
    day = new_york_day(at)
    days = state.account.config.settlement_days
    if not days:
        return day
    # A fortnight has room for the days asked for and every holiday between them.
    coming = sessions_between(day + timedelta(days=1), day + timedelta(days=2 * days + 12))
    return coming[days - 1].day


def balances(state: "State", *, leaving: str | None = None) -> Balances:
    """The account at the newest visible prices. `leaving`: an order that is being replaced reserves nothing."""
    account, books = state.account, state.books
    leverage = multiplier(state)
    long_value = short_value = initial = maintenance = ZERO
    for position in books.positions.values():
        price, value = state.price_of(position.symbol), state.value_of(position)
        if position.is_short:
            short_value += value
        else:
            long_value += value
        marginable = leverage > 1 and state.asset(position.symbol).marginable
        initial += abs(value) * (HALF if marginable else 1)
        maintenance += maintenance_of(position.quantity, price, marginable=state.asset(position.symbol).marginable)
    equity = books.cash + long_value + short_value
    reserved = _reserved(state, leaving)
    unsettled = books.unsettled_cash(new_york_day(state.now))
    excess = equity - initial
    if leverage == 1:
        regt = books.cash - (ZERO if account.config.spend_unsettled else unsettled) - reserved
        non_marginable = books.cash - unsettled - reserved
    else:
        regt = max(excess, ZERO) * 2 - reserved
        non_marginable = min(excess, books.cash + short_value) - unsettled - reserved
    daytrading = ZERO
    if leverage == 4:
        start = account.today
        daytrading = (start.equity - start.maintenance) * 4 - _opened_today(state) - reserved
    entries_by_day = account.configuration.dtbp_check in (Check.ENTRY, Check.BOTH)
    return Balances(
        cash=books.cash,
        unsettled=unsettled,
        long_value=long_value,
        short_value=short_value,
        equity=equity,
        initial_margin=initial,
        maintenance_margin=maintenance,
        multiplier=leverage,
        reserved=reserved,
        regt_buying_power=regt,
        daytrading_buying_power=daytrading,
        non_marginable_buying_power=non_marginable,
        buying_power=daytrading if leverage == 4 and entries_by_day else regt,
    )


def maintenance_of(quantity: Decimal, price: Decimal, *, marginable: bool) -> Decimal:
    """Dollars that must stay behind a position of `quantity` shares at `price`."""
    value = abs(quantity) * price
    if not marginable:
        return value
    if quantity >= 0:
        return value if price < CHEAP_LONG else value * MAINTENANCE
    if price < CHEAP_SHORT:
        return max(value, abs(quantity) * CHEAP_LONG)
    return max(value * MAINTENANCE, abs(quantity) * CHEAP_SHORT)


def available(state: "State", symbol: str, *, leaving: str | None = None) -> Decimal:
    """What an order that opens a position in `symbol` may cost, in dollars."""
    found = balances(state, leaving=leaving)
    return found.non_marginable_buying_power if state.asset(symbol).is_crypto else found.buying_power


def order_cost(
    state: "State", symbol: str, side: Side, quantity: Decimal, limit_price: Decimal | None, stop_price: Decimal | None
) -> Decimal:
    """Dollars of buying power that an order needs: nothing for what only closes a position."""
    held = state.books.held(symbol)
    if side is Side.BUY:
        opening = quantity - min(quantity, max(-held, ZERO))
        return opening * state.cost_price(symbol, limit_price, stop_price) if opening else ZERO
    opening = quantity - min(quantity, max(held, ZERO))
    return opening * short_price(state, symbol, limit_price) if opening else ZERO


def short_price(state: "State", symbol: str, limit_price: Decimal | None) -> Decimal:
    """Dollars a share that a short sale reserves."""
    above = state.cost_price(symbol, None, None) * SHORT_MARKUP
    return above if limit_price is None else max(limit_price, above)


def check_may_trade(state: "State", symbol: str, side: Side, quantity: Decimal) -> None:
    """What the owner's configuration and day trading forbid. Raises Refusal 403."""
    configuration = state.account.configuration
    if configuration.suspend_trade:
        raise Refusal(403, FORBIDDEN, "new orders are rejected by user request")
    asset = state.asset(symbol)
    if not asset.is_crypto and not configuration.fractional_trading and quantity != quantity.to_integral_value():
        raise Refusal(403, FORBIDDEN, "account is not allowed to trade fractional shares", {"symbol": symbol})
    if asset.is_crypto or multiplier(state) == 1 or state.account.today.equity >= DAY_TRADER_EQUITY:
        return
    held = state.books.held(symbol)
    closing = held * (1 if side is Side.BUY else -1) < 0
    opened_today = abs(held) > abs(state.account.today.held.get(symbol, ZERO))
    checks = (Check.EXIT, Check.BOTH) if closing else (Check.ENTRY, Check.BOTH)
    concerned = configuration.pdt_check in checks and (opened_today or not closing)
    if concerned and daytrade_count(state) >= DAY_TRADES_FREE:
        raise Refusal(403, PATTERN_DAY_TRADING, "trade denied due to pattern day trading protection")


def daytrade_count(state: "State") -> int:
    """Day trades of the last five sessions, today's included: positions closed on the day that opened them."""
    first = previous_session(state.now)
    for _ in range(DAY_TRADE_SESSIONS - 2):
        first = previous_session(first.open)
    return sum(_day_trades(fills) for fills in _by_symbol_and_day(state, first.day).values())


def _by_symbol_and_day(state: "State", since: date) -> dict[tuple[str, date], list[Fill]]:
    found: dict[tuple[str, date], list[Fill]] = {}
    for fill in reversed(state.books.fills):
        day = new_york_day(fill.at)
        if day < since:
            break
        if not state.asset(fill.symbol).is_crypto:
            found.setdefault((fill.symbol, day), []).insert(0, fill)
    return found


def _day_trades(fills: list[Fill]) -> int:
    """How often the day's own position was closed or made smaller after it had been opened or made larger."""
    count, side = 0, fills[0].side
    turned = False
    for fill in fills:
        if fill.side is side:
            turned = False
        elif not turned:
            turned = True
            count += 1
    return count


def _reserved(state: "State", leaving: str | None) -> Decimal:
    covering = {symbol: -p.quantity for symbol, p in state.books.positions.items() if p.is_short}
    reserved = ZERO
    for order in state.open_orders():
        if not order.reserves or order.id == leaving or is_waiting(order):
            continue
        if order.side is Side.BUY:
            covers = min(order.remaining, covering.get(order.symbol, ZERO))
            if covers:
                covering[order.symbol] -= covers
            opening = order.remaining - covers
            if opening:
                reserved += opening * state.cost_price(order.symbol, order.limit_price, order.stop_price)
        elif state.books.held(order.symbol) <= 0 and _opens_short(state, order):
            reserved += order.remaining * short_price(state, order.symbol, order.limit_price)
    return reserved


def _opens_short(state: "State", order: Order) -> bool:
    """A sale without a position: a short sale, unless it is the exit of a position that is gone."""
    return may_short(state) and order.parent is None


def _opened_today(state: "State") -> Decimal:
    """Dollars that today's openings hold, at present prices."""
    before = state.account.today.held
    opened = ZERO
    for symbol, position in state.books.positions.items():
        grown = abs(position.quantity) - abs(before.get(symbol, ZERO))
        if grown > 0:
            opened += grown * state.price_of(symbol)
    return opened
