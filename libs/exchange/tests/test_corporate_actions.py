"""Corporate actions in market time, on positions of both sides and on open orders; money is conserved (BS-2, BR-6)."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from holdfast_exchange.account import AccountConfig
from holdfast_exchange.account_commands import Announce
from holdfast_exchange.books import Entry, EntryKind
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction, read_table
from holdfast_exchange.orders import Refusal, Status
from libs.exchange.tests.exchange_floor import CLOSE, OPEN, Floor, bar

Floors = Callable[..., Floor]
TUESDAY = date(2013, 10, 8)
BARS = [
    *(bar(minute, "100", "100", "100", "100") for minute in range(5)),
    *(bar(minute, "50", "50", "50", "50", symbol="NEW") for minute in range(5)),
]
MORNING = (OPEN + timedelta(days=1)).replace(hour=13, minute=29)
MARGIN = AccountConfig(multiplier=2, configuration=Configuration(no_shorting=False))


def action(kind: str, ex_date: date = TUESDAY, **fields: Any) -> CorporateAction:
    numbers = {name: Decimal(fields.pop(name)) for name in ("old_rate", "new_rate", "cash") if name in fields}
    return CorporateAction(kind=ActionKind(kind), symbol="SPY", ex_date=ex_date, **numbers, **fields)


def announce(f: Floor, told: CorporateAction) -> None:
    f.apply(Announce(f.exchange.now, told))


def overnight(f: Floor) -> None:
    f.tick(CLOSE)
    f.tick(MORNING)


def holding(floor: Floors, quantity: int = 10, **config: Any) -> Floor:
    """Long (short where negative) of so many shares at 100 dollars."""
    f = floor(BARS, **({"account": MARGIN} | config))
    f.order("buy" if quantity > 0 else "sell", abs(quantity))
    f.minute(0)
    assert f.exchange.books.held("SPY") == quantity
    return f


def entries(f: Floor) -> list[Entry]:
    return [each for each in f.exchange.books.activities if isinstance(each, Entry)]


def balanced(f: Floor) -> bool:
    books = f.exchange.books
    return books.cash + books.cost_total == books.starting_cash + books.realised_total + books.outside_total


@pytest.mark.parametrize("quantity", [10, -10])
@pytest.mark.parametrize(("old", "new"), [("1", "7"), ("2", "3"), ("10", "1"), ("1", "3")])
def test_a_split_moves_no_profit(floor: Floors, quantity: int, old: str, new: str) -> None:
    f = holding(floor, quantity)
    equity, cost = f.exchange.equity(), f.exchange.books.cost_total
    forward = Decimal(new) > Decimal(old)
    announce(f, action("forward_split" if forward else "reverse_split", old_rate=old, new_rate=new))
    assert f.exchange.books.held("SPY") == quantity, "not before its day"
    overnight(f)
    assert f.exchange.books.held("SPY") == quantity * Decimal(new) / Decimal(old)
    assert f.exchange.equity() == equity
    assert f.exchange.books.cost_total == cost
    assert f.exchange.account.today.held["SPY"] == f.exchange.books.held("SPY")
    assert balanced(f)


@pytest.mark.parametrize("quantity", [25, -25])
def test_a_reverse_split_pays_cash_in_lieu_of_a_fraction(floor: Floors, quantity: int) -> None:
    f = holding(floor, quantity)
    equity = f.exchange.equity()
    announce(f, action("reverse_split", old_rate="10", new_rate="1"))
    overnight(f)
    side = 1 if quantity > 0 else -1
    assert f.exchange.books.held("SPY") == 2 * side
    in_lieu = entries(f)[-1]
    assert in_lieu.kind is EntryKind.CASH_IN_LIEU
    assert in_lieu.cash == 500 * side, "half a share of a thousand dollars"
    assert f.exchange.equity() == equity
    assert f.exchange.books.realised_total == 0
    assert balanced(f)


def test_a_reverse_split_that_leaves_no_share_pays_everything_out(floor: Floors) -> None:
    f = holding(floor, 5)
    announce(f, action("reverse_split", old_rate="10", new_rate="1"))
    overnight(f)
    assert f.exchange.books.positions == {}
    assert f.exchange.books.cash == 100_000
    assert balanced(f)


def test_a_reverse_split_cancels_open_orders_with_their_legs(floor: Floors) -> None:
    f = holding(floor)
    stop = f.order("sell", 10, "stop", stop_price="90", tif="gtc")
    announce(f, action("reverse_split", old_rate="10", new_rate="1"))
    overnight(f)
    assert f.now(stop).status is Status.CANCELED
    assert f.exchange.open_orders() == []


def test_a_dividend_is_credited_to_who_is_long_at_the_ex_date(floor: Floors) -> None:
    f = holding(floor)
    announce(f, action("cash_dividend", cash="0.505", payable_date=TUESDAY + timedelta(days=1)))
    overnight(f)
    assert f.exchange.books.cash == 99_000, "not before it is paid"
    f.order("sell", 10)
    f.tick(MORNING + timedelta(days=1))
    (paid,) = entries(f)
    assert paid.kind is EntryKind.DIVIDEND
    assert paid.cash == Decimal("5.05")
    assert paid.quantity == 10
    assert paid.per_share == Decimal("0.505")
    assert f.exchange.books.outside_total == Decimal("5.05")
    assert balanced(f)


def test_a_dividend_is_debited_to_who_is_short(floor: Floors) -> None:
    f = holding(floor, -10)
    announce(f, action("cash_dividend", cash="0.5"))
    overnight(f)
    assert f.exchange.books.outside_total == -5
    assert balanced(f)


def test_a_dividend_lowers_purchases_and_stops_of_sales_only(floor: Floors) -> None:
    """FINRA 5330."""
    f = holding(floor)
    stop = f.order("sell", 5, "stop", stop_price="90", tif="gtc")
    sale = f.order("sell", 5, "limit", limit_price="120", tif="gtc")
    announce(f, action("cash_dividend", cash="0.505"))
    overnight(f)
    assert f.now(stop).stop_price == Decimal("89.49"), "rounded down"
    assert f.now(sale).limit_price == 120
    flat = floor(BARS)
    entry = flat.order("buy", 1, "limit", limit_price="90", tif="gtc")
    announce(flat, action("cash_dividend", cash="0.505"))
    overnight(flat)
    assert flat.now(entry).limit_price == Decimal("89.49")


def test_cash_for_shares(floor: Floors) -> None:
    f = holding(floor)
    order = f.order("sell", 10, "limit", limit_price="120", tif="gtc")
    announce(f, action("cash_merger", cash="105"))
    overnight(f)
    assert f.exchange.books.positions == {}
    assert f.exchange.books.realised_total == 50
    assert f.exchange.books.cash == 100_050
    assert f.now(order).status is Status.CANCELED
    assert balanced(f)
    with pytest.raises(Refusal, match="not tradable"):
        f.order("buy", 1)


def test_shares_for_shares_carry_their_cost(floor: Floors) -> None:
    f = holding(floor, 15)
    announce(f, action("stock_merger", old_rate="2", new_rate="1", new_symbol="NEW"))
    overnight(f)
    books = f.exchange.books
    assert books.held("NEW") == 7
    assert books.held("SPY") == 0
    assert books.cash == 98_500 + 25, "half a share of NEW at 50 dollars"
    assert books.cost_total + entries(f)[-1].cost * -1 == 1_500
    assert [each.kind for each in entries(f)] == [EntryKind.MERGER, EntryKind.MERGER, EntryKind.CASH_IN_LIEU]
    assert balanced(f)


def test_cash_beside_new_shares_first_returns_the_cost(floor: Floors) -> None:
    f = holding(floor)
    announce(f, action("stock_and_cash_merger", old_rate="1", new_rate="1", cash="60", new_symbol="NEW"))
    overnight(f)
    assert f.exchange.books.positions["NEW"].cost == 400
    assert f.exchange.books.realised_total == 0
    assert balanced(f)


def test_a_spin_off_comes_beside_what_is_held(floor: Floors) -> None:
    f = holding(floor)
    announce(f, action("spin_off", old_rate="5", new_rate="1", new_symbol="NEW"))
    overnight(f)
    assert f.exchange.books.held("SPY") == 10
    assert f.exchange.books.held("NEW") == 2
    assert balanced(f)


def test_a_new_name_is_the_same_position(floor: Floors) -> None:
    f = holding(floor)
    announce(f, action("name_change", new_symbol="NEW"))
    overnight(f)
    assert f.exchange.books.positions["NEW"].cost == 1_000
    assert [(each.kind, each.symbol) for each in entries(f)] == [
        (EntryKind.NAME_CHANGE, "SPY"),
        (EntryKind.NAME_CHANGE, "NEW"),
    ]
    assert balanced(f)


def test_long_of_one_and_short_of_the_other_is_settled_in_cash(floor: Floors) -> None:
    f = holding(floor)
    f.order("sell", 4, symbol="NEW")
    f.minute(1)
    announce(f, action("stock_merger", new_symbol="NEW"))
    overnight(f)
    assert f.exchange.books.held("NEW") == -4
    assert balanced(f)


def test_a_partly_filled_entry_keeps_what_it_got_and_asks_for_seven_times_the_rest(floor: Floors) -> None:
    thin = [bar(0, "100", "100", "100", "100", 4), bar(1, "100", "100", "100", "100", 0)]
    f = floor(thin, account=MARGIN)
    entry = f.order("buy", 10, "limit", limit_price="100", tif="gtc")
    f.minute(0)
    announce(f, action("forward_split", new_rate="7"))
    overnight(f)
    assert f.now(entry).filled_quantity == 4
    assert f.now(entry).quantity == 4 + 42
    assert f.exchange.books.held("SPY") == 28


def test_an_action_of_today_takes_effect_at_once_and_only_once(floor: Floors) -> None:
    f = holding(floor)
    split = action("forward_split", ex_date=date(2013, 10, 7), new_rate="2")
    announce(f, split)
    assert f.exchange.books.held("SPY") == 20
    with pytest.raises(Refusal, match="known already"):
        announce(f, split)
    overnight(f)
    assert f.exchange.books.held("SPY") == 20
    assert f.again(f.commands).state() == f.exchange.state()


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("forward_split", {"old_rate": "7", "new_rate": "1"}, "more shares"),
        ("reverse_split", {"new_rate": "7"}, "fewer shares"),
        ("cash_dividend", {}, "cash"),
        ("cash_merger", {"cash": "-1"}, "cash"),
        ("stock_merger", {}, "new_symbol"),
        ("name_change", {"new_symbol": "SPY"}, "new_symbol"),
        ("forward_split", {"new_rate": "NaN"}, "positive"),
    ],
)
def test_an_action_that_cannot_be_is_refused(kind: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        action(kind, **fields)


def test_a_table_is_read_in_order_and_its_bad_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "corporate_actions.csv").write_text(
        "kind,symbol,ex_date,old_rate,new_rate,cash\n"
        "forward_split,AAPL,2014-06-09,1,7,\n"
        "cash_dividend,AAPL,2014-05-08,,,3.29\n"
        "cash_dividend,AAPL,2014-05-08,,,3.29\n"
        "forward_split,AAPL,2014-06-10,7,1,\n"
        "windfall,AAPL,2014-06-11,,,1\n"
        "cash_dividend,IBM,2014-05-07,,,1.1\n",
        "utf-8",
    )
    actions, bad = read_table(tmp_path, ["AAPL"])
    assert [(each.kind, each.ex_date) for each in actions] == [
        (ActionKind.CASH_DIVIDEND, date(2014, 5, 8)),
        (ActionKind.FORWARD_SPLIT, date(2014, 6, 9)),
    ]
    assert [(row.row, row.reason) for row in bad] == [
        (2, "ROW_DUPLICATE"),
        (3, "ACTION_INVALID"),
        (4, "ACTION_INVALID"),
    ]
