"""Alpaca's market-data REST for stocks: only what is visible at the present market time."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from holdfast_exchange.market import Market
from holdfast_exchange.recording import NEW_YORK, Bar
from holdfast_papermarket import market_json
from holdfast_papermarket.api.answers import answer, bad_request, read_instant, read_whole
from holdfast_papermarket.venue import PaperVenue

DEFAULT_LIMIT, MAX_LIMIT = 1_000, 10_000
Json = dict[str, Any]
Rows = Callable[[Market, str, datetime, datetime], list[Json]]
_TIMEFRAME = re.compile(r"^([1-9][0-9]?)(Min|T|Hour|H|Day|D)$")
_UNITS = {"Min": timedelta(minutes=1), "T": timedelta(minutes=1), "Hour": timedelta(hours=1), "H": timedelta(hours=1)}
_LONGEST = {"Min": 59, "T": 59, "Hour": 23, "H": 23, "Day": 1, "D": 1}


def market_routes(venue: PaperVenue) -> APIRouter:
    """Routes over one market."""
    routes = APIRouter(prefix="/v2/stocks", tags=["market data"])
    market = venue.exchange.market

    @routes.get("/bars")
    async def bars(request: Request) -> Response:
        timeframe = request.query_params.get("timeframe", "1Min")
        return _history(venue, request, "bars", _bars_of(timeframe))

    @routes.get("/quotes")
    async def quotes(request: Request) -> Response:
        return _history(venue, request, "quotes", _quotes)

    @routes.get("/trades")
    async def trades(request: Request) -> Response:
        return _history(venue, request, "trades", _trades)

    @routes.get("/bars/latest")
    async def latest_bars(symbols: str = "") -> Response:
        return answer({"bars": _latest(market, symbols, market.last_bar, market_json.bar)})

    @routes.get("/quotes/latest")
    async def latest_quotes(symbols: str = "") -> Response:
        return answer({"quotes": _latest(market, symbols, market.last_quote, market_json.quote)})

    @routes.get("/trades/latest")
    async def latest_trades(symbols: str = "") -> Response:
        return answer({"trades": _latest(market, symbols, market.last_bar, market_json.trade)})

    @routes.get("/snapshots")
    async def snapshots(symbols: str = "") -> Response:
        return answer({symbol: _snapshot(market, symbol) for symbol in _wanted(market, symbols)})

    return routes


def _wanted(market: Market, text: str) -> list[str]:
    """The known ones of the symbols asked for; unknown ones are left out, as Alpaca does."""
    asked = {symbol for symbol in text.split(",") if symbol}
    if not asked:
        raise bad_request("symbols is required")
    return sorted(asked & set(market.symbols))


def _latest(market: Market, symbols: str, newest: Callable[[str], Any], shown: Callable[[Any], Json]) -> Json:
    rows = {symbol: newest(symbol) for symbol in _wanted(market, symbols)}
    return {symbol: shown(row) for symbol, row in rows.items() if row is not None}


def _snapshot(market: Market, symbol: str) -> Json:
    bar, quote, day = market.last_bar(symbol), market.last_quote(symbol), market.day_so_far(symbol)
    midnight = None if day is None else day.start.astimezone(NEW_YORK).replace(hour=0, minute=0)
    daily = market.daily_bars(symbol, datetime.min.replace(tzinfo=UTC), midnight or market.released)
    return {
        "latestTrade": None if bar is None else market_json.trade(bar),
        "latestQuote": None if quote is None else market_json.quote(quote),
        "minuteBar": None if bar is None else market_json.bar(bar),
        "dailyBar": None if day is None else market_json.bar(day) | {"t": market_json.iso(midnight or day.start)},
        "prevDailyBar": market_json.bar(daily[-1]) if daily else None,
    }


def _bars_of(timeframe: str) -> Rows:
    found = _TIMEFRAME.match(timeframe)
    if found is None or int(found[1]) > _LONGEST[found[2]]:
        raise bad_request(f"invalid timeframe: {timeframe!r}")
    count, unit = int(found[1]), found[2]

    def rows(market: Market, symbol: str, start: datetime, end: datetime) -> list[Json]:
        bars: list[Bar]
        if unit in ("Day", "D"):
            bars = market.daily_bars(symbol, start, end)
        elif count == 1 and unit in ("Min", "T"):
            bars = market.minute_bars(symbol, start, end)
        else:
            bars = market.grouped_bars(symbol, _UNITS[unit] * count, start, end)
        return [market_json.bar(bar) for bar in bars]

    return rows


def _quotes(market: Market, symbol: str, start: datetime, end: datetime) -> list[Json]:
    return [market_json.quote(quote) for quote in market.minute_quotes(symbol, start, end)]


def _trades(market: Market, symbol: str, start: datetime, end: datetime) -> list[Json]:
    return [market_json.trade(bar) for bar in market.minute_bars(symbol, start, end)]


def _history(venue: PaperVenue, request: Request, name: str, rows: Rows) -> Response:
    """One page: symbol after symbol, each in time, as Alpaca pages; `next_page_token` says where the next begins."""
    query, market = request.query_params, venue.exchange.market
    now = venue.market_now()
    today = now.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)
    start = read_instant(query["start"], "start") if query.get("start") else today
    # Alpaca's end is inclusive.
    end = read_instant(query["end"], "end", end_of_day=True) if query.get("end") else now
    limit = read_whole(query.get("limit") or str(DEFAULT_LIMIT), "limit", least=1, most=MAX_LIMIT)
    newest_first = query.get("sort", "asc") == "desc"
    first_symbol, skipped = _read_token(query.get("page_token") or "")
    page: dict[str, list[Json]] = {}
    token: str | None = None
    room = limit
    for symbol, row, place in _rows_in_order(market, _wanted(market, query.get("symbols", "")), rows, start, end,
                                             newest_first=newest_first):  # fmt: skip
        if symbol < first_symbol or (symbol == first_symbol and place < skipped):
            continue
        if not room:
            token = _write_token(symbol, place)
            break
        page.setdefault(symbol, []).append(row)
        room -= 1
    return answer({name: page, "next_page_token": token})


def _rows_in_order(
    market: Market, symbols: list[str], rows: Rows, start: datetime, end: datetime, *, newest_first: bool
) -> Iterator[tuple[str, Json, int]]:
    for symbol in symbols:
        found = rows(market, symbol, start, end + timedelta(microseconds=1))
        if newest_first:
            found.reverse()
        for place, row in enumerate(found):
            yield symbol, row, place


def _write_token(symbol: str, place: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([symbol, place]).encode()).decode()


def _read_token(text: str) -> tuple[str, int]:
    if not text:
        return "", 0
    try:
        symbol, place = json.loads(base64.urlsafe_b64decode(text))
        return str(symbol), int(place)
    except (binascii.Error, ValueError, TypeError):
        raise bad_request("invalid page_token") from None
