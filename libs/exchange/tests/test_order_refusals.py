"""What the venue refuses, with the code and the words that Alpaca uses (BR-5; alpaca.md traps 13 to 17)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange.orders import Refusal, Status
from libs.exchange.tests.exchange_floor import SHORTS, Floor, asked, bar

Floors = Callable[..., Floor]
CALM = [bar(n, "100", "101", "99", "100") for n in range(4)]
COIN = "BTC/USD"
LEGS = {"take_profit_price": "110", "protect_stop_price": "90"}


def refusal_of(f: Floor, side: str = "buy", quantity: Any = 1, kind: str = "market", **fields: Any) -> Refusal:
    before = f.exchange.state()
    with pytest.raises(Refusal) as refusal:
        f.order(side, quantity, kind, **fields)
    assert f.exchange.state() == before, "a refused order leaves no trace"
    return refusal.value


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"kind": "stop_limit", "stop_price": "105"}, 422, "stop limit orders require a limit price"),
        ({"kind": "stop_limit", "limit_price": "105"}, 422, "stop limit orders require a stop price"),
        ({"limit_price": "105"}, 422, "market orders must not have a limit price"),
        ({"kind": "limit", "limit_price": "95", "stop_price": "95"}, 422, "must not have a stop price"),
        ({"kind": "trailing_stop"}, 422, "one of trail_price or trail_percent"),
        ({"kind": "trailing_stop", "trail_price": "1", "trail_percent": "1"}, 422, "one of trail_price or"),
        ({"kind": "trailing_stop", "trail_percent": "100"}, 422, "trail_percent must be"),
        ({"kind": "trailing_stop", "trail_price": "1", "tif": "ioc"}, 422, "ioc orders must be market or limit"),
        ({"trail_price": "1"}, 422, "market orders must not have a trail"),
        ({"kind": "stop", "stop_price": "105", "tif": "opg"}, 422, "opg orders must be market or limit"),
        ({"kind": "stop", "stop_price": "105", "tif": "fok"}, 422, "fok orders must be market or limit"),
        ({"extended_hours": True}, 422, "extended hours order must be DAY limit orders"),
        ({"kind": "limit", "limit_price": "95", "tif": "ioc", "extended_hours": True}, 422, "extended hours order"),
        ({"quantity": "1.5", "kind": "limit", "limit_price": "95", "extended_hours": True}, 422, "extended hours"),
        ({"quantity": "1.5", "tif": "gtc"}, 422, "fractional orders must be DAY orders"),
        ({"quantity": "1.5", "kind": "trailing_stop", "trail_price": "1"}, 422, "must not be trailing stop"),
        ({"quantity": "1.5", "order_class": "bracket"} | LEGS, 422, "fractional orders must be simple orders"),
        ({"quantity": "1.0000000001"}, 422, "limited to 9 decimal places"),
        ({"quantity": "0.001"}, 403, "cost basis must be >= minimal amount of order 1"),
        ({"quantity": 0, "notional": "0.99"}, 422, "notional must be >= 1.00"),
        ({"quantity": 0, "notional": "10.001"}, 422, "limited to 2 decimal places"),
        ({"quantity": 1, "notional": "10"}, 422, "only one of qty or notional"),
        ({"quantity": "NaN"}, 422, "qty must be > 0"),
        ({"symbol": "WHOLE", "quantity": "1.5"}, 403, "requested asset is not fractionable"),
        ({"symbol": "WHOLE", "quantity": 0, "notional": "10"}, 403, "requested asset is not fractionable"),
        ({"order_class": "bracket", "take_profit_price": "110"}, 422, "require stop_loss.stop_price"),
        ({"order_class": "bracket", "protect_stop_price": "90"}, 422, "require take_profit.limit_price"),
        ({"order_class": "oto"}, 422, "oto orders require either"),
        ({"order_class": "oto"} | LEGS, 422, "oto orders require either"),
        ({"order_class": "simple"} | LEGS, 422, "simple orders must not have"),
        ({"order_class": "bracket", "tif": "ioc"} | LEGS, 422, "bracket orders must be DAY or GTC"),
        (
            {"order_class": "bracket", "kind": "limit", "limit_price": "95", "extended_hours": True} | LEGS,
            422,
            "not allowed in extended hours",
        ),
        (
            {"order_class": "bracket", "kind": "stop", "stop_price": "105"} | LEGS,
            422,
            "bracket orders must be market or limit orders",
        ),
        (
            {"order_class": "bracket", "take_profit_price": "110", "protect_stop_price": "99.995"},
            422,
            "sub-penny",
        ),
        (
            {"order_class": "bracket", "take_profit_price": "110", "protect_stop_price": "100"},
            422,
            "stop_loss.stop_price must be <= base_price - 0.01",
        ),
        (
            {"order_class": "bracket", "take_profit_price": "100", "protect_stop_price": "90"},
            422,
            "take_profit.limit_price must be >= base_price + 0.01",
        ),
        (
            {"order_class": "oco", "kind": "limit", "take_profit_price": "90", "protect_stop_price": "110"},
            422,
            "oco orders must be exit orders",
        ),
        ({"order_class": "oco"} | LEGS, 422, "oco orders must be limit orders"),
        ({"intent": "buy_to_close"}, 422, "position intent mismatch, inferred: buy_to_open"),
    ],
)
def test_a_share_order_that_does_not_fit(floor: Floors, fields: dict[str, Any], status: int, message: str) -> None:
    other = bar(0, "10", "10", "10", "10", symbol="WHOLE")
    f = floor([*CALM, other], assets={"WHOLE": {"fractionable": False}})
    f.minute(0)
    refusal = refusal_of(f, **fields)
    assert refusal.status == status
    assert message in refusal.message
    assert refusal.code // 1000 in (42210, 40310, 40010)


def test_a_bracket_cannot_close_a_position_nor_an_oco_open_one(floor: Floors) -> None:
    f = floor(CALM)
    f.order("buy", 10)
    f.minute(0)
    exits = {"take_profit_price": "90", "protect_stop_price": "110"}
    assert "bracket orders must be entry orders" in refusal_of(f, "sell", 10, order_class="bracket", **exits).message
    through = {"take_profit_price": "110", "protect_stop_price": "100"}
    oco = refusal_of(f, "sell", 10, "limit", order_class="oco", **through)
    assert "stop_loss.stop_price must be <= base_price - 0.01" in oco.message, "the present price counts too"


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"quantity": "0.5"}, 422, "fractional orders cannot be sold short"),
        ({"quantity": 0, "notional": "100"}, 422, "fractional orders cannot be sold short"),
        ({"symbol": "HARD"}, 422, "asset HARD cannot be sold short"),
        ({"symbol": "NEVER"}, 422, "asset NEVER cannot be sold short"),
        ({"quantity": 2_000}, 403, "insufficient buying power"),
    ],
)
def test_a_short_sale_that_does_not_fit(floor: Floors, fields: dict[str, Any], status: int, message: str) -> None:
    others = [bar(0, "10", "10", "10", "10", symbol=symbol) for symbol in ("HARD", "NEVER")]
    assets = {"HARD": {"easy_to_borrow": False}, "NEVER": {"shortable": False}}
    f = floor([*CALM, *others], assets=assets, **SHORTS)
    f.minute(0)
    refusal = refusal_of(f, "sell", **fields)
    assert (refusal.status, message in refusal.message) == (status, True), refusal.message


def test_a_position_cannot_be_turned_by_one_order(floor: Floors) -> None:
    f = floor(CALM, **SHORTS)
    f.minute(0)
    f.order("sell", 10)
    f.minute(1)
    assert "insufficient qty available" in refusal_of(f, "buy", 11).message
    cover = f.order("buy", 10)
    f.minute(2)
    assert (f.now(cover).status, f.now(cover).intent.value) == (Status.FILLED, "buy_to_close")
    assert f.exchange.books.held("SPY") == 0


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"tif": "day"}, 422, "invalid crypto time_in_force"),
        ({"tif": "fok"}, 422, "invalid crypto time_in_force"),
        ({"kind": "stop", "stop_price": "9000"}, 422, "invalid order type for crypto order"),
        ({"kind": "trailing_stop", "trail_price": "9"}, 422, "invalid order type for crypto order"),
        ({"kind": "limit", "limit_price": "5000", "protect_stop_price": "4000"}, 422, "advanced order_class: oto"),
        ({"kind": "limit", "limit_price": "5000", "extended_hours": True}, 422, "extended hours"),
        ({"quantity": "0.00001"}, 422, "qty must be >= 0.0001"),
        ({"quantity": 50}, 422, "notional must be <= 200000"),
        ({"quantity": 12, "kind": "limit", "limit_price": "9000"}, 403, "insufficient buying power"),
        ({"side": "sell"}, 403, "insufficient balance for BTC (requested: 1, available: 0)"),
        ({"kind": "limit", "limit_price": "5000.0000000001"}, 422, "invalid limit_price"),
    ],
)
def test_a_crypto_order_that_does_not_fit(floor: Floors, fields: dict[str, Any], status: int, message: str) -> None:
    """Trap 17."""
    f = floor([bar(n, "8000", "8100", "7900", "8000", symbol=COIN) for n in range(4)])
    f.minute(0)
    refusal = refusal_of(f, **({"symbol": COIN, "tif": "gtc"} | fields))
    assert (refusal.status, message in refusal.message) == (status, True), refusal.message


def test_coins_trade_round_the_clock_in_parts_and_by_name_without_stroke(floor: Floors) -> None:
    """Trap 17; a stop-limit protects them."""
    f = floor([bar(n, "8000", "8100", "7900", "8000", symbol=COIN) for n in range(400, 404)])
    f.minute(400)
    order = f.order("buy", "0.5", symbol="BTCUSD", tif="gtc")
    assert (order.symbol, order.status) == (COIN, Status.NEW), "hours after the close of shares"
    f.minute(401)
    held = f.exchange.books.held(COIN)
    assert 0 < held <= Decimal("0.5")
    stop = f.order("sell", held, "stop_limit", symbol=COIN, tif="gtc", stop_price="7950", limit_price="7900")
    more = refusal_of(f, "sell", "0.1", symbol=COIN, tif="gtc")
    assert Decimal(str(more.details["held_for_orders"])) == held
    f.minute(402)
    assert f.now(stop).status is Status.FILLED
    assert f.exchange.books.held(COIN) == 0


def test_limit_orders_of_both_sides_rest_where_they_cannot_meet(floor: Floors) -> None:
    """Trap 13."""
    f = floor(CALM)
    f.order("buy", 10)
    f.minute(0)
    f.order("sell", 5, "limit", limit_price="105")
    assert f.order("buy", 5, "limit", limit_price="104.99").is_open
    refusal = refusal_of(f, "buy", 5, "limit", limit_price="105")
    assert (refusal.status, refusal.details["reject_reason"]) == (403, "opposite side limit order exists")


def test_what_is_asked_for_reads_back(floor: Floors) -> None:
    """The words of tests and of the API name the same order."""
    new = asked("sell", 1, "stop_limit", stop_price="9", limit_price="8", tif="gtc")
    assert (new.side.value, new.type.value, new.time_in_force.value) == ("sell", "stop_limit", "gtc")
