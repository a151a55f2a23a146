"""Options flow and derivatives intelligence over HTTP, in the forms of their sources (FP-1.1 … FP-1.6, CG-1 … CG-3)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of, load_defaults
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import MINUTE, PATIENCE_SECS, ask, headers

NOW = datetime(2013, 10, 10, 14, 30, tzinfo=UTC)
ALERT_FIELDS = (
    "id ticker option_chain type strike expiry price underlying_price total_size total_premium total_ask_side_prem "
    "total_bid_side_prem trade_count volume open_interest volume_oi_ratio has_sweep has_floor has_multileg "
    "all_opening_trades alert_rule iv_start iv_end created_at start_time end_time provenance"
)
NUMBERS = (
    "strike price underlying_price total_size total_premium total_ask_side_prem total_bid_side_prem trade_count volume "
    "open_interest volume_oi_ratio iv_start iv_end"
)
PRINT_FIELDS = "size price premium nbbo_bid nbbo_ask executed_at canceled ticker volume provenance"


@pytest.fixture(scope="module")
def recorded() -> Recording:
    """Both books: the crypto days lie beside the equity week."""
    return load_defaults(["equity", "crypto"]).recording


@pytest.fixture
async def market(recorded: Recording, tmp_path: Path) -> AsyncIterator[Embedded]:
    end = (NOW + 10 * MINUTE).isoformat()
    async with embedded(recorded, tmp_path, start=(NOW - 5 * MINUTE).isoformat(), end=end) as running:
        running.step_to(NOW)
        yield running


async def flow(market: Embedded, path: str, token: str | None = None, **query: Any) -> requests.Response:
    given = {"Authorization": f"Bearer {market.keys.key if token is None else token}"}

    def call() -> requests.Response:
        return requests.get(
            f"{market.url}/unusualwhales/api/{path}", params=query, headers=given, timeout=PATIENCE_SECS
        )

    answer: requests.Response = await ask(call)
    return answer


async def glass(market: Embedded, path: str, key: str | None = None, **query: Any) -> requests.Response:
    given = {"CG-API-KEY": market.keys.key if key is None else key}

    def call() -> requests.Response:
        return requests.get(f"{market.url}/coinglass/api/{path}", params=query, headers=given, timeout=PATIENCE_SECS)

    answer: requests.Response = await ask(call)
    return answer


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Options flow


async def test_alerts_have_every_named_field_and_numbers_are_strings(market: Embedded) -> None:
    answer = await flow(market, "option-trades/flow-alerts", limit=200)
    alerts = answer.json()["data"]
    assert (answer.status_code, answer.headers["X-Holdfast-Provenance"]) == (200, "generated")
    assert alerts == sorted(alerts, key=lambda alert: (alert["created_at"], alert["id"]), reverse=True)
    for alert in alerts:
        assert set(ALERT_FIELDS.split()) <= set(alert)
        assert all(isinstance(alert[name], str) and Decimal(alert[name]) > 0 for name in NUMBERS.split())
        assert alert["provenance"] == "generated"
        assert at(alert["created_at"]) <= NOW
        assert alert["option_chain"].startswith(alert["ticker"])


async def test_what_comes_later_is_seen_only_then_and_newer_than_finds_it(market: Embedded) -> None:
    before = (await flow(market, "option-trades/flow-alerts", limit=200)).json()["data"]
    market.step_to(NOW + 10 * MINUTE)
    after = (await flow(market, "option-trades/flow-alerts", limit=200, newer_than=NOW.isoformat())).json()["data"]
    assert after
    assert all(NOW < at(alert["created_at"]) <= NOW + 10 * MINUTE for alert in after)
    assert not {alert["id"] for alert in before} & {alert["id"] for alert in after}
    seconds = str(int(NOW.timestamp()))
    for spelled in (seconds, f"{seconds}000"):
        same = await flow(market, "option-trades/flow-alerts", limit=200, newer_than=spelled)
        assert same.json()["data"] == after


async def test_filters_keep_what_they_say(market: Embedded) -> None:
    async def found(**query: Any) -> list[dict[str, Any]]:
        answer = await flow(market, "option-trades/flow-alerts", **{"limit": 200} | query)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        assert data, query
        return data

    assert {alert["ticker"] for alert in await found(ticker_symbol="SPY,IBM")} == {"SPY", "IBM"}
    assert {alert["ticker"] for alert in await found(ticker_symbol="-SPY")} == {"AIG", "BAC", "IBM"}
    assert all(Decimal(alert["total_premium"]) >= 50_000 for alert in await found(min_premium=50_000))
    assert all(int(alert["total_size"]) <= 100 for alert in await found(max_size=100))
    assert all(Decimal(alert["volume_oi_ratio"]) >= 1 for alert in await found(min_volume_oi_ratio=1))
    assert {alert["type"] for alert in await found(is_call="true", is_put="false")} == {"call"}
    assert {alert["type"] for alert in await found(is_put="true")} == {"put"}
    assert {alert["type"] for alert in await found(is_put="true", is_call="true")} == {"call", "put"}
    assert all(alert["has_sweep"] for alert in await found(is_sweep="true"))
    assert all(
        Decimal(alert["total_ask_side_prem"]) > Decimal(alert["total_bid_side_prem"])
        for alert in await found(is_ask_side="true")
    )
    assert {alert["alert_rule"] for alert in await found(**{"rule_name[]": "RepeatedHits"})} == {"RepeatedHits"}
    assert all(
        (datetime.fromisoformat(alert["expiry"]).date() - NOW.date()).days <= 8 for alert in await found(max_dte=7)
    )
    assert len(await found(limit=3)) == 3


async def test_prints_off_the_exchanges_lie_inside_the_visible_quote(market: Embedded) -> None:
    answer = await flow(market, "darkpool/SPY", limit=50)
    prints = answer.json()["data"]
    assert 0 < len(prints) <= 50
    for found in prints:
        assert set(PRINT_FIELDS.split()) <= set(found)
        assert Decimal(found["nbbo_bid"]) <= Decimal(found["price"]) <= Decimal(found["nbbo_ask"])
        assert Decimal(found["premium"]) == (Decimal(found["price"]) * found["size"]).quantize(Decimal("0.01"))
        assert at(found["executed_at"]) <= NOW
        assert (found["canceled"], found["provenance"], found["ticker"]) == (False, "generated", "SPY")
    recent = (await flow(market, "darkpool/recent")).json()["data"]
    assert len({found["ticker"] for found in recent}) > 1
    assert (await flow(market, "darkpool/NOSUCH")).json()["data"] == []


REFUSED: tuple[tuple[str, dict[str, str], int], ...] = (
    ("option-trades/flow-alerts", {"limit": "201"}, 422),
    ("option-trades/flow-alerts", {"limit": "0"}, 422),
    ("option-trades/flow-alerts", {"min_premium": "much"}, 422),
    ("option-trades/flow-alerts", {"newer_than": "yesterday"}, 422),
    ("option-trades/flow-alerts", {"is_sweep": "maybe"}, 422),
    ("option-trades/flow-alerts", {"ticker_symbol": "A;B"}, 400),
    ("darkpool/SPY", {"max_size": "nan"}, 422),
    ("option-trades/tea-leaves", {}, 404),
)


async def test_a_question_that_cannot_be_answered_says_why(market: Embedded) -> None:
    for path, query, status in REFUSED:
        answer = await flow(market, path, **query)
        assert answer.status_code == status, (path, query)
        assert isinstance(answer.json()["error"], str)


async def test_the_token_is_asked_for_and_the_limit_is_of_market_time(market: Embedded) -> None:
    """FP-1.5, FP-1.6."""
    for wrong in ("", "a-guess"):
        refused = await flow(market, "darkpool/SPY", token=wrong)
        assert (refused.status_code, "x-uw-minute-req-counter" in refused.headers) == (401, False)
    answers = [await flow(market, "darkpool/SPY", limit=1) for _ in range(121)]
    assert [answer.status_code for answer in answers] == [200] * 120 + [429]
    assert answers[0].headers["x-uw-req-per-minute-remaining"] == "119"
    assert answers[-1].headers["x-uw-minute-req-counter"] == "120"
    market.step_to(NOW + MINUTE)
    assert (await flow(market, "darkpool/SPY", limit=1)).status_code == 200


async def test_recorded_option_trades_are_told_as_recorded(tmp_path: Path) -> None:
    """The Friday and Monday around AAPL's split, of which every option trade bar is recorded."""
    folder = default_folder_of("equity").parent / "aapl_split_2014"
    recording = recordings.load(folder)
    opened = datetime(2014, 6, 6, 13, 30, tzinfo=UTC)
    async with embedded(recording, tmp_path, start="2014-06-06", end="2014-06-09") as market:
        market.step_to(opened + timedelta(hours=6, minutes=30))
        answer = await flow(market, "option-trades/flow-alerts", ticker_symbol="AAPL", limit=200, max_premium=60_000)
        alerts = answer.json()["data"]
    assert answer.headers["X-Holdfast-Provenance"] == "recorded"
    assert len(alerts) == 200
    for alert in alerts:
        assert (alert["provenance"], alert["open_interest"], alert["iv_start"]) == ("recorded", None, None)
        assert alert["made_up_fields"] == ["total_ask_side_prem", "total_bid_side_prem"]
        assert at(alert["created_at"]) <= opened + timedelta(hours=6, minutes=30)


# Faults


async def test_faults_of_a_source_are_told_in_its_own_words_and_hit_no_other(market: Embedded) -> None:
    """FP-1.5, FP-1.6, CG-1: 500, 429 and the like, each source by itself."""

    async def failing(endpoint: str, status: int) -> None:
        fault = {"id": "down", "kind": "http_error", "status": status, "scope": {"endpoint": endpoint}}
        url = f"{market.url}/papermarket/v1/faults"
        assert (
            await ask(lambda: requests.post(url, json=fault, headers=headers(market), timeout=PATIENCE_SECS))
        ).status_code == 200

    await failing("flow", 500)
    down = await flow(market, "darkpool/SPY")
    assert (down.status_code, down.json()) == (500, {"error": "internal server error occurred"})
    assert (await glass(market, "futures/supported-coins")).json()["code"] == "0"
    await failing("intelligence", 429)
    assert (await flow(market, "darkpool/SPY")).status_code == 200
    limited = await glass(market, "futures/supported-coins")
    assert (limited.status_code, limited.json()) == (200, {"code": "429", "msg": "rate limit exceeded"})
    await failing("data", 500)
    for answer in (await flow(market, "darkpool/SPY"), await glass(market, "futures/supported-coins")):
        assert answer.status_code == 200


# Derivatives intelligence


HISTORIES: tuple[tuple[str, dict[str, str], str], ...] = (
    (
        "futures/v2/taker-buy-sell-volume/history",
        {"exchange": "Binance", "symbol": "BTCUSDT"},
        "taker_buy_volume_usd taker_sell_volume_usd",
    ),
    (
        "futures/aggregated-taker-buy-sell-volume/history",
        {"exchange_list": "Binance", "symbol": "BTC"},
        "aggregated_buy_volume_usd aggregated_sell_volume_usd",
    ),
    (
        "futures/global-long-short-account-ratio/history",
        {"exchange": "Binance", "symbol": "ETHUSDT"},
        "global_account_long_percent global_account_short_percent global_account_long_short_ratio",
    ),
    (
        "futures/top-long-short-account-ratio/history",
        {"exchange": "Binance", "symbol": "LTCUSDT"},
        "top_account_long_percent top_account_short_percent top_account_long_short_ratio",
    ),
    (
        "futures/liquidation/history",
        {"exchange": "Binance", "symbol": "BTCUSDT"},
        "long_liquidation_usd short_liquidation_usd",
    ),
    (
        "futures/liquidation/aggregated-history",
        {"exchange_list": "Binance", "symbol": "BTC"},
        "aggregated_long_liquidation_usd aggregated_short_liquidation_usd",
    ),
    (
        "futures/cvd/history",
        {"exchange": "Binance", "symbol": "BTCUSDT"},
        "taker_buy_vol taker_sell_vol cum_vol_delta",
    ),
    (
        "futures/aggregated-cvd/history",
        {"exchange_list": "Binance", "symbol": "BTC"},
        "agg_taker_buy_vol agg_taker_sell_vol cum_vol_delta",
    ),
)


async def test_histories_have_their_fields_and_end_before_now(market: Embedded) -> None:
    now = int(NOW.timestamp() * 1_000)
    for path, query, fields in HISTORIES:
        answer = await glass(market, path, **query, interval="1m", limit=20)
        body = answer.json()
        assert (answer.status_code, body["code"], body["msg"]) == (200, "0", "success"), path
        assert answer.headers["X-Holdfast-Provenance"] == "generated"
        assert [item["time"] for item in body["data"]] == [now - 60_000 * n for n in range(20, 0, -1)]
        for item in body["data"]:
            assert set(item) == {"time", "provenance", *fields.split()}
            assert item["provenance"] == "generated"
        earlier = await glass(market, path, **query, interval="1m", end_time=now - 600_000, limit=1)
        assert [item["time"] for item in earlier.json()["data"]] == [now - 600_000]


async def test_liquidations_by_price_surround_the_present_price(market: Embedded) -> None:
    """IG-5."""
    by_pair = await glass(
        market, "futures/liquidation/heatmap/model1", exchange="Binance", symbol="BTCUSDT", range="24h"
    )
    by_coin = await glass(market, "futures/liquidation/aggregated-heatmap/model1", symbol="BTC", range="24h")
    data = by_pair.json()["data"]
    assert by_coin.json()["data"] == data
    assert data["update_time"] == int(NOW.timestamp() * 1_000)
    price = float(data["price_candlesticks"][-1][4])
    assert data["y_axis"] == sorted(data["y_axis"])
    assert data["y_axis"][0] < price < data["y_axis"][-1]
    prices = {data["y_axis"][level] for _, level, _ in data["liquidation_leverage_data"]}
    assert min(prices) < price < max(prices)
    assert data["price_candlesticks"][-1][0] <= NOW.timestamp()
    assert data["provenance"] == "generated"


async def test_taker_ratio_coins_and_whales(market: Embedded) -> None:
    """IG-3, IG-4."""
    assert (await glass(market, "futures/supported-coins")).json()["data"] == ["BTC", "ETH", "LTC"]
    taker = (await glass(market, "futures/taker-buy-sell-volume/exchange-list", symbol="BTC", range="1h")).json()[
        "data"
    ]
    assert taker["buy_ratio"] + taker["sell_ratio"] == pytest.approx(100, abs=0.02)
    assert taker["exchange_list"][0]["buy_vol_usd"] == taker["buy_vol_usd"]
    whales = (await glass(market, "hyperliquid/whale-alert")).json()["data"]
    assert whales == sorted(whales, key=lambda whale: (whale["create_time"], whale["symbol"]), reverse=True)
    assert {whale["provenance"] for whale in whales} == {"generated"}
    assert all(whale["create_time"] <= NOW.timestamp() * 1_000 for whale in whales)
    assert all((whale["liq_price"] < whale["entry_price"]) == (whale["position_size"] > 0) for whale in whales)


CODES: tuple[tuple[str, dict[str, str], str], ...] = (
    ("futures/liquidation/history", {"symbol": "BTCUSDT", "interval": "1m"}, "400"),
    ("futures/liquidation/history", {"exchange": "Binance", "symbol": "SPYUSDT", "interval": "1m"}, "400"),
    ("futures/liquidation/history", {"exchange": "Binance", "symbol": "BTCUSDT"}, "400"),
    ("futures/liquidation/history", {"exchange": "Binance", "symbol": "BTCUSDT", "interval": "7m"}, "400"),
    ("futures/cvd/history", {"exchange": "B", "symbol": "BTCUSDT", "interval": "1m", "limit": "x"}, "400"),
    ("futures/liquidation/aggregated-heatmap/model1", {"symbol": "BTC", "range": "2d"}, "400"),
    ("futures/tea-leaves", {}, "404"),
)


async def test_an_error_is_http_200_and_a_code_in_the_body(market: Embedded) -> None:
    for path, query, code in CODES:
        answer = await glass(market, path, **query)
        assert (answer.status_code, answer.json()["code"]) == (200, code), (path, query)
        assert "data" not in answer.json()
        assert answer.json()["msg"]


async def test_thirty_requests_a_minute_of_market_time_and_a_key(market: Embedded) -> None:
    """CG-2."""
    for wrong, told in (("", "API key missing."), ("a-guess", "Invalid API key.")):
        refused = await glass(market, "futures/supported-coins", key=wrong)
        assert (refused.status_code, refused.json()) == (200, {"code": "401", "msg": told})
    answers = [await glass(market, "futures/supported-coins") for _ in range(31)]
    assert [answer.json()["code"] for answer in answers] == ["0"] * 30 + ["429"]
    assert [answers[0].headers[name] for name in ("API-KEY-MAX-LIMIT", "API-KEY-USE-LIMIT")] == ["30", "1"]
    market.step_to(NOW + MINUTE)
    assert (await glass(market, "futures/supported-coins")).json()["code"] == "0"
