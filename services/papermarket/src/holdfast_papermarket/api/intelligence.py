"""Derivatives intelligence in the form of CoinGlass' API v4, under `/coinglass` (CG-1 … CG-3, IG-3 … IG-6).

HTTP is 200 whatever happens: the code in the body decides, "0" is success. Everything is generated and says so, in
`provenance` of each item and in the header X-Holdfast-Provenance. Only intervals that have ended are shown.
"""

import hmac
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request, Response

from holdfast_exchange.derivatives import DerivativesTape, Heatmap, Reading, WhaleTrade
from holdfast_exchange.flow import Provenance
from holdfast_papermarket.api.flow import PROVENANCE
from holdfast_papermarket.api.metering import Meter

Json = dict[str, Any]
PREFIX = "/coinglass"
REQUESTS_PER_MINUTE = 30
DEFAULT_LIMIT = MAX_LIMIT = 1_000
GENERATED = Provenance.GENERATED.value
EXCHANGE, QUOTE_COIN = "Binance", "USDT"
INTERVALS = {
    **{f"{n}m": timedelta(minutes=n) for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": timedelta(hours=n) for n in (1, 2, 4, 6, 8, 12)},
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}
RANGES = {
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "12h": timedelta(hours=12),
    "24h": timedelta(days=1),
    **{f"{n}d": timedelta(days=n) for n in (3, 7, 30, 90, 180)},
    "1y": timedelta(days=365),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Refused(Exception):
    """A code of CoinGlass other than "0"."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


Show = Callable[[Reading], Json]


def intelligence_routes(tape: DerivativesTape, key: str, now: Callable[[], datetime]) -> APIRouter:
    """The endpoints; `key` is the value of the header CG-API-KEY."""
    routes = APIRouter(prefix=PREFIX, tags=["derivatives intelligence"])
    meter = Meter(REQUESTS_PER_MINUTE, now)

    def guarded(request: Request, ask: Callable[[], Any]) -> Response:
        given = request.headers.get("cg-api-key", "")
        if not given:
            return _answer("401", "API key missing.", None, {})
        if not hmac.compare_digest(given.encode(), key.encode()):
            return _answer("401", "Invalid API key.", None, {})
        allowed = meter.take()
        limits = {"API-KEY-MAX-LIMIT": str(meter.limit), "API-KEY-USE-LIMIT": str(meter.used)}
        if not allowed:
            return _answer("429", "Too Many Requests", None, limits)
        try:
            return _answer("0", "success", ask(), limits | {PROVENANCE: GENERATED})
        except Refused as error:
            return _answer(str(error.code), str(error), None, limits)

    def history(path: str, show: Show, *, by_coin: bool) -> None:
        @routes.get(path)
        async def answer(request: Request) -> Response:
            pair_of = _pair_of_coin if by_coin else _pair_of_symbol
            return guarded(request, lambda: _history(tape, request, pair_of(tape, request), show))

    history("/api/futures/v2/taker-buy-sell-volume/history", _taker_of_pair, by_coin=False)
    history("/api/futures/aggregated-taker-buy-sell-volume/history", _taker_of_coin, by_coin=True)
    history("/api/futures/global-long-short-account-ratio/history", _accounts, by_coin=False)
    history("/api/futures/top-long-short-account-ratio/history", _top_accounts, by_coin=False)
    history("/api/futures/liquidation/history", _liquidations_of_pair, by_coin=False)
    history("/api/futures/liquidation/aggregated-history", _liquidations_of_coin, by_coin=True)

    @routes.get("/api/futures/supported-coins")
    async def coins(request: Request) -> Response:
        return guarded(request, lambda: sorted(tape.coins))

    @routes.get("/api/futures/cvd/history")
    async def cvd(request: Request) -> Response:
        return guarded(request, lambda: _cvd(tape, request, _pair_of_symbol(tape, request), ""))

    @routes.get("/api/futures/aggregated-cvd/history")
    async def aggregated_cvd(request: Request) -> Response:
        return guarded(request, lambda: _cvd(tape, request, _pair_of_coin(tape, request), "agg_"))

    @routes.get("/api/futures/taker-buy-sell-volume/exchange-list")
    async def taker_now(request: Request) -> Response:
        return guarded(request, lambda: _taker_now(tape, request))

    @routes.get("/api/futures/liquidation/heatmap/model1")
    async def heatmap(request: Request) -> Response:
        return guarded(request, lambda: _heatmap(tape, request, _pair_of_symbol(tape, request), now()))

    @routes.get("/api/futures/liquidation/aggregated-heatmap/model1")
    async def aggregated_heatmap(request: Request) -> Response:
        return guarded(request, lambda: _heatmap(tape, request, _pair_of_coin(tape, request), now()))

    @routes.get("/api/hyperliquid/whale-alert")
    async def whales(request: Request) -> Response:
        return guarded(request, lambda: _whales(tape))

    @routes.get("/{rest:path}", include_in_schema=False)
    async def unknown(request: Request, rest: str) -> Response:
        def refuse() -> None:
            raise Refused(404, f"no such endpoint: /{rest[:64]}")

        return guarded(request, refuse)

    return routes


# What is asked for


def _pair_of_symbol(tape: DerivativesTape, request: Request) -> str:
    """The recorded pair behind `symbol=BTCUSDT`; the exchange must be named, and one shows what all show."""
    _required(request, "exchange")
    symbol = _required(request, "symbol")
    return _pair(tape, symbol.removesuffix(QUOTE_COIN).removesuffix("USD"), symbol)


def _pair_of_coin(tape: DerivativesTape, request: Request) -> str:
    """The recorded pair behind `symbol=BTC`."""
    symbol = _required(request, "symbol")
    return _pair(tape, symbol, symbol)


def _pair(tape: DerivativesTape, coin: str, asked: str) -> str:
    found = tape.coins.get(coin)
    if found is None:
        raise Refused(400, f"symbol: {asked[:16]} is not supported")
    return found


def _required(request: Request, name: str) -> str:
    found = request.query_params.get(name, "")
    if not found:
        raise Refused(400, f"Required parameter '{name}' is not present")
    return found


def _readings(tape: DerivativesTape, request: Request, pair: str) -> list[Reading]:
    """The newest `limit` of those that start between start_time and end_time, oldest first."""
    query = request.query_params
    interval = INTERVALS.get(_required(request, "interval"))
    if interval is None:
        raise Refused(400, f"interval: {query['interval'][:16]} is not one of {', '.join(INTERVALS)}")
    limit = _whole(query.get("limit") or str(DEFAULT_LIMIT), "limit")
    if not 1 <= limit <= MAX_LIMIT:
        raise Refused(400, f"limit: {limit} is not from 1 to {MAX_LIMIT}")
    start = _whole(query.get("start_time") or "0", "start_time")
    end = _whole(query["end_time"], "end_time") if query.get("end_time") else None
    found = [
        reading
        for reading in tape.readings(pair, interval)
        if start <= _millis(reading.start) and (end is None or _millis(reading.start) <= end)
    ]
    return found[-limit:]


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Refused(400, f"{name}: {text[:16]!r} is not a whole number")
    return int(text)


# What is answered


def _history(tape: DerivativesTape, request: Request, pair: str, show: Show) -> list[Json]:
    found = _readings(tape, request, pair)
    return [{"time": _millis(each.start)} | show(each) | {"provenance": GENERATED} for each in found]


def _taker_of_pair(value: Reading) -> Json:
    return {"taker_buy_volume_usd": _text(value.taker_buy), "taker_sell_volume_usd": _text(value.taker_sell)}


def _taker_of_coin(value: Reading) -> Json:
    return {
        "aggregated_buy_volume_usd": float(value.taker_buy),
        "aggregated_sell_volume_usd": float(value.taker_sell),
    }


def _accounts(value: Reading) -> Json:
    return _ratio("global_account", value.long_accounts)


def _top_accounts(value: Reading) -> Json:
    return _ratio("top_account", value.top_long)


def _ratio(name: str, long: Decimal) -> Json:
    return {
        f"{name}_long_percent": float((long * 100).quantize(Decimal("0.01"))),
        f"{name}_short_percent": float(((1 - long) * 100).quantize(Decimal("0.01"))),
        f"{name}_long_short_ratio": float((long / (1 - long)).quantize(Decimal("0.0001"))),
    }


def _liquidations_of_pair(value: Reading) -> Json:
    return {
        "long_liquidation_usd": _text(value.long_liquidated),
        "short_liquidation_usd": _text(value.short_liquidated),
    }


def _liquidations_of_coin(value: Reading) -> Json:
    return {
        "aggregated_long_liquidation_usd": float(value.long_liquidated),
        "aggregated_short_liquidation_usd": float(value.short_liquidated),
    }


def _cvd(tape: DerivativesTape, request: Request, pair: str, prefix: str) -> list[Json]:
    """Taker volume, and its difference added up from the first interval shown."""
    total, shown = Decimal(0), []
    for each in _readings(tape, request, pair):
        total += each.taker_buy - each.taker_sell
        shown.append(
            {
                "time": _millis(each.start),
                f"{prefix}taker_buy_vol": float(each.taker_buy),
                f"{prefix}taker_sell_vol": float(each.taker_sell),
                "cum_vol_delta": float(total),
                "provenance": GENERATED,
            }
        )
    return shown


def _taker_now(tape: DerivativesTape, request: Request) -> Json:
    """Over the newest `range`: all exchanges together, of which this venue has one."""
    pair, reach = _pair_of_coin(tape, request), _reach(request)
    found = tape.readings(pair, timedelta(minutes=1))
    newest = [each for each in found if each.end > found[-1].end - reach]
    buy = sum((each.taker_buy for each in newest), Decimal(0))
    sell = sum((each.taker_sell for each in newest), Decimal(0))
    both = buy + sell
    sides = {
        "buy_ratio": float((buy * 100 / both).quantize(Decimal("0.01"))) if both else None,
        "sell_ratio": float((sell * 100 / both).quantize(Decimal("0.01"))) if both else None,
        "buy_vol_usd": float(buy),
        "sell_vol_usd": float(sell),
    }
    return {
        "symbol": pair.partition("/")[0],
        **sides,
        "exchange_list": [{"exchange": EXCHANGE, **sides}],
        "provenance": GENERATED,
    }


def _reach(request: Request) -> timedelta:
    found = RANGES.get(_required(request, "range"))
    if found is None:
        raise Refused(400, f"range: {request.query_params['range'][:16]} is not one of {', '.join(RANGES)}")
    return found


def _heatmap(tape: DerivativesTape, request: Request, pair: str, now: datetime) -> Json:
    found = tape.heatmap(pair, _reach(request)) or Heatmap(levels=(), cells=(), candles=())
    return {
        "y_axis": [float(level) for level in found.levels],
        "liquidation_leverage_data": [[column, level, float(amount)] for column, level, amount in found.cells],
        "price_candlesticks": [
            [
                _millis(bar.start) // 1_000,
                *(_text(price) for price in (bar.open, bar.high, bar.low, bar.close)),
                _text((bar.volume * bar.close).quantize(Decimal("0.0001"))),
            ]
            for bar in found.candles
        ],
        "update_time": _millis(now),
        "provenance": GENERATED,
    }


def _whales(tape: DerivativesTape) -> list[Json]:
    """The newest 200 of every coin, newest first."""
    found = [(coin, trade) for coin, pair in tape.coins.items() for trade in tape.whales(pair)]
    found.sort(key=lambda each: (each[1].at, each[0]), reverse=True)
    return [_whale(coin, trade) for coin, trade in found[:200]]


def _whale(coin: str, trade: WhaleTrade) -> Json:
    return {
        "user": trade.holder,
        "symbol": coin,
        "position_size": float(trade.size),
        "entry_price": float(trade.entry_price),
        "liq_price": float(trade.liquidation_price),
        "position_value_usd": float(trade.value),
        "position_action": 1 if trade.opened else 2,
        "create_time": _millis(trade.at),
        "provenance": GENERATED,
    }


def _millis(instant: datetime) -> int:
    return (instant - _EPOCH) // _MILLISECOND


def _text(value: Decimal) -> str:
    return format(value, "f")


def _answer(code: str, message: str, data: Any, headers: Iterable[tuple[str, str]] | dict[str, str]) -> Response:
    body: Json = {"code": code, "msg": message}
    if code == "0":
        body["data"] = data
    return Response(json.dumps(body, separators=(",", ":")), 200, headers=dict(headers), media_type="application/json")
