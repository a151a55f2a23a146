"""No dollar and no share of an account appears from nowhere: shorts, fees, splits, dividends, mergers (BR-6)."""

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_exchange import account
from holdfast_exchange.account import AccountConfig
from holdfast_exchange.account_commands import Announce, JournalCash
from holdfast_exchange.books import OUTSIDE, Entry
from holdfast_exchange.commands import Cancel, decode, encode
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.fees import FeeSchedule
from holdfast_exchange.orders import Fill, Refusal
from holdfast_exchange.portfolio_history import HistoryQuery, history
from holdfast_exchange.recording import MINUTE, Bar
from libs.exchange.tests.exchange_floor import OPEN, Floor

DAYS, MINUTES = 4, 4
SYMBOLS = ("BTC/USD", "NEW", "SPY")
CONFIG = AccountConfig(
    multiplier=4,
    configuration=Configuration(no_shorting=False),
    fees=FeeSchedule(per_share=Decimal("0.0049"), per_order=Decimal("0.35")),
)
LASTING = (ActionKind.CASH_DIVIDEND, ActionKind.FORWARD_SPLIT, ActionKind.REVERSE_SPLIT, ActionKind.SPIN_OFF)
prices = st.integers(500, 20_000).map(lambda cents: Decimal(cents) / 100)
quantities = st.sampled_from(("1", "3", "10", "40", "0.5", "1.123456789"))
rates = st.sampled_from(("1", "2", "3", "7", "10"))


def market_of(seed: int) -> list[Bar]:
    """A few minutes of a few days, as wild as can be."""
    chance, bars = random.Random(seed), []
    for symbol in SYMBOLS:
        for day in range(DAYS):
            for minute in range(MINUTES):
                start = OPEN + timedelta(days=day) + MINUTE * minute
                cents = sorted(chance.randint(500, 20_000) for _ in range(4))
                low, first, last, high = (Decimal(price) / 100 for price in cents)
                volume = Decimal(chance.choice((0, 7, 50, 1000)))
                bars.append(Bar(symbol, start, start + MINUTE, first, high, low, last, volume))
    return sorted(bars, key=lambda row: (row.end, row.symbol))


markets = st.integers(0, 1_000_000).map(market_of)
orders = st.fixed_dictionaries(
    {
        "do": st.just("order"),
        "symbol": st.sampled_from(SYMBOLS),
        "side": st.sampled_from(("buy", "sell")),
        "quantity": quantities,
        "price": st.one_of(st.none(), st.none(), prices),
        "tif": st.sampled_from(("day", "gtc")),
    }
)
steps = st.one_of(
    orders,
    orders,
    orders,
    st.fixed_dictionaries({"do": st.just("cancel"), "which": st.integers(0, 20)}),
    st.fixed_dictionaries(
        {
            "do": st.just("announce"),
            # Mergers and new names end a symbol: not too many of them.
            "kind": st.sampled_from([*ActionKind, *LASTING, *LASTING]),
            "symbol": st.sampled_from(("NEW", "SPY")),
            "day": st.integers(0, DAYS),
            "old": rates,
            "new": rates,
            "cash": prices,
            "paid_after": st.integers(0, 2),
        }
    ),
    st.fixed_dictionaries({"do": st.just("journal"), "amount": st.integers(-500_000, 500_000)}),
    st.just({"do": "tick"}),
    st.just({"do": "tick"}),
    st.just({"do": "tick"}),
)


def do(floor: Floor, step: dict[str, Any]) -> None:
    """Refusals are part of life."""
    now = floor.exchange.now
    try:
        if step["do"] == "order":
            kind = "market" if step["price"] is None else "limit"
            fields = {} if step["price"] is None else {"limit_price": step["price"]}
            tif = "gtc" if "/" in step["symbol"] else step["tif"]
            floor.order(step["side"], Decimal(step["quantity"]), kind, symbol=step["symbol"], tif=tif, **fields)
        elif step["do"] == "cancel" and floor.exchange.orders:
            known = list(floor.exchange.orders)
            floor.apply(Cancel(now, known[step["which"] % len(known)]))
        elif step["do"] == "announce":
            floor.apply(Announce(now, action_of(step)))
        elif step["do"] == "journal":
            floor.apply(JournalCash(now, Decimal(step["amount"]) / 100))
    except (Refusal, ValueError):
        return


def action_of(step: dict[str, Any]) -> CorporateAction:
    """Raises ValueError for one that cannot be."""
    day = date(2013, 10, 7) + timedelta(days=step["day"])
    return CorporateAction(
        kind=step["kind"],
        symbol=step["symbol"],
        ex_date=day,
        old_rate=Decimal(step["old"]),
        new_rate=Decimal(step["new"]),
        cash=step["cash"],
        new_symbol="SPY" if step["symbol"] == "NEW" else "NEW",
        payable_date=day + timedelta(days=step["paid_after"]),
    )


def played(market: list[Bar], script: list[dict[str, Any]]) -> Floor:
    floor = Floor(market, [], account=CONFIG, starting_cash=Decimal(40_000))
    instants = [
        OPEN + timedelta(days=day) + MINUTE * minute for day in range(DAYS) for minute in range(-1, MINUTES + 1)
    ][1:]
    for step in script:
        if step["do"] == "tick" and instants:
            floor.tick(instants.pop(0))
        else:
            do(floor, step)
        confirm(floor)
    for instant in instants:
        floor.tick(instant)
        confirm(floor)
    return floor


def confirm(floor: Floor) -> None:
    books = floor.exchange.books
    assert books.cash + books.cost_total == books.starting_cash + books.realised_total + books.outside_total
    assert all(kind in OUTSIDE for kind in books.outside)
    assert all(position.quantity * position.cost >= 0 for position in books.positions.values())
    for symbol in SYMBOLS:
        held = sum(
            (
                each.signed_quantity if isinstance(each, Fill) else each.shares
                for each in books.activities
                if each.symbol == symbol
            ),
            Decimal(0),
        )
        assert books.held(symbol) == held
    assert books.held("BTC/USD") >= 0, "coins are never owed"


@settings(max_examples=120, deadline=None, print_blob=True)
@given(market=markets, script=st.lists(steps, min_size=20, max_size=60))
def test_dollars_and_shares_are_conserved(market: list[Bar], script: list[dict[str, Any]]) -> None:
    floor = played(market, script)
    books = floor.exchange.books
    spent = sum((each.cash for each in books.activities if isinstance(each, Entry)), Decimal(0))
    traded = books.cash - books.starting_cash - spent
    exact = -sum((fill.signed_quantity * fill.price for fill in books.fills), Decimal(0))
    assert abs(traded - exact) <= Decimal("0.00000001") * len(books.fills), "cash is kept to a hundred-millionth"
    found = account.balances(floor.exchange)
    assert found.equity == floor.exchange.equity()


@settings(max_examples=40, deadline=None, print_blob=True)
@given(market=markets, script=st.lists(steps, min_size=20, max_size=60))
def test_history_ends_with_the_present_equity_and_a_journal_restores_the_account(
    market: list[Bar], script: list[dict[str, Any]]
) -> None:
    """TS-3."""
    floor = played(market, script)
    exchange = floor.exchange
    asked = HistoryQuery(timeframe="1D", start=OPEN, end=exchange.now)
    points = history(exchange, OPEN - MINUTE, asked).points
    assert points[-1].equity == exchange.equity()
    assert len(points) == DAYS
    restored = floor.again([decode(encode(command)) for command in floor.commands])
    assert restored.state() == exchange.state()
