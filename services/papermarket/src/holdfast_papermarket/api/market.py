"""Alpaca's market-data REST for stocks: only what is visible at the present market time (TS-3, TL-1)."""

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from holdfast_exchange.corporate_actions import ActionKind
from holdfast_exchange.orders import Refusal
from holdfast_papermarket import market_json
from holdfast_papermarket.api.answers import answer, bad_request
from holdfast_papermarket.api.data_queries import (
    HISTORY_FEEDS,
    LATEST_FEEDS,
    STOCK_RANGE,
    Class,
    Range,
    Rows,
    check_source,
    check_symbol,
    expect_only,
    page,
    read_adjustment,
    read_asof,
    read_range,
    read_symbols,
    read_timeframe,
)
from holdfast_papermarket.api.market_codes import CONDITIONS, EXCHANGES
from holdfast_papermarket.api.market_rows import MarketRows
from holdfast_papermarket.venue import PaperVenue

Json = dict[str, Any]
Row = TypeVar("Row")
STOCKS = Class.STOCKS
_NEWEST = ("feed", "currency")
_BARS = STOCK_RANGE | {"timeframe", "adjustment"}


def market_routes(venue: PaperVenue, rows: MarketRows) -> APIRouter:
    """Routes of many symbols at once, of one symbol, and of codes."""
    routes = APIRouter(prefix="/v2/stocks", tags=["market data"])
    _many_routes(routes, venue, rows)
    _single_routes(routes, venue, rows)

    @routes.get("/meta/exchanges")
    async def exchanges() -> Response:
        return answer(EXCHANGES)

    @routes.get("/meta/conditions/{ticktype}")
    async def conditions(ticktype: str, tape: str = "") -> Response:
        if ticktype not in CONDITIONS:
            raise bad_request(f"invalid ticktype: {ticktype[:32]}")
        if tape not in ("A", "B", "C"):
            raise bad_request("invalid tape: A, B or C is required")
        return answer(CONDITIONS[ticktype])

    return routes


def _many_routes(routes: APIRouter, venue: PaperVenue, rows: MarketRows) -> None:
    @routes.get("/bars")
    async def bars(request: Request) -> Response:
        expect_only(request, _BARS | {"symbols"})
        return _history(
            venue, request, "bars", rows.bars(read_timeframe(request), read_adjustment(request), _asof(venue, request))
        )

    @routes.get("/quotes")
    async def quotes(request: Request) -> Response:
        expect_only(request, STOCK_RANGE | {"symbols"})
        return _history(venue, request, "quotes", rows.quotes(_asof(venue, request)))

    @routes.get("/trades")
    async def trades(request: Request) -> Response:
        expect_only(request, STOCK_RANGE | {"symbols"})
        return _history(venue, request, "trades", rows.trades(_asof(venue, request)))

    @routes.get("/bars/latest")
    async def latest_bars(request: Request) -> Response:
        return _shown(request, {"bars": _newest(venue, request, rows.latest_bar, market_json.bar)})

    @routes.get("/quotes/latest")
    async def latest_quotes(request: Request) -> Response:
        return _shown(request, {"quotes": _newest(venue, request, rows.latest_quote, market_json.quote)})

    @routes.get("/trades/latest")
    async def latest_trades(request: Request) -> Response:
        return _shown(request, {"trades": _newest(venue, request, rows.latest_trade, market_json.trade)})

    @routes.get("/snapshots")
    async def snapshots(request: Request) -> Response:
        return answer(_newest(venue, request, lambda symbol: symbol, rows.snapshot))


def _single_routes(routes: APIRouter, venue: PaperVenue, rows: MarketRows) -> None:
    @routes.get("/{symbol}/bars")
    async def bars(symbol: str, request: Request) -> Response:
        expect_only(request, _BARS)
        shown = rows.bars(read_timeframe(request), read_adjustment(request), _asof(venue, request))
        return _history_of(venue, request, symbol, "bars", shown)

    @routes.get("/{symbol}/quotes")
    async def quotes(symbol: str, request: Request) -> Response:
        expect_only(request, STOCK_RANGE)
        return _history_of(venue, request, symbol, "quotes", rows.quotes(_asof(venue, request)))

    @routes.get("/{symbol}/trades")
    async def trades(symbol: str, request: Request) -> Response:
        expect_only(request, STOCK_RANGE)
        return _history_of(venue, request, symbol, "trades", rows.trades(_asof(venue, request)))

    @routes.get("/{symbol}/bars/latest")
    async def latest_bar(symbol: str, request: Request) -> Response:
        return _shown(
            request, {"symbol": symbol, "bar": _newest_of(venue, request, symbol, rows.latest_bar, market_json.bar)}
        )

    @routes.get("/{symbol}/quotes/latest")
    async def latest_quote(symbol: str, request: Request) -> Response:
        found = _newest_of(venue, request, symbol, rows.latest_quote, market_json.quote)
        return _shown(request, {"symbol": symbol, "quote": found})

    @routes.get("/{symbol}/trades/latest")
    async def latest_trade(symbol: str, request: Request) -> Response:
        found = _newest_of(venue, request, symbol, rows.latest_trade, market_json.trade)
        return _shown(request, {"symbol": symbol, "trade": found})

    @routes.get("/{symbol}/snapshot")
    async def snapshot(symbol: str, request: Request) -> Response:
        return _shown(
            request, {"symbol": symbol} | _newest_of(venue, request, symbol, lambda found: found, rows.snapshot)
        )


def _shown(request: Request, body: Json) -> Response:
    """With the currency where it was asked for, as Alpaca does."""
    currency = request.query_params.get("currency")
    return answer(body | {"currency": currency} if currency else body)


def _recorded(venue: PaperVenue) -> Iterable[str]:
    return (symbol for symbol in venue.exchange.market.symbols if not market_json.is_pair(symbol))


def _named(venue: PaperVenue) -> set[str]:
    """Also those that are only recorded under an earlier name."""
    changes = venue.exchange.market.corporate_actions
    renamed = {action.new_symbol for action in changes if action.kind is ActionKind.NAME_CHANGE}
    return renamed.union(_recorded(venue))


def _asof(venue: PaperVenue, request: Request) -> date | None:
    return read_asof(request, venue.market_now())


def _asked(venue: PaperVenue, request: Request) -> Range:
    check_source(request, HISTORY_FEEDS)
    return read_range(request, STOCKS, venue.market_now())


def _history(venue: PaperVenue, request: Request, name: str, rows: Rows[Row]) -> Response:
    symbols = read_symbols(request, STOCKS, _named(venue))
    found, token = page(rows, symbols, _asked(venue, request))
    return _shown(request, {name: found, "next_page_token": token})


def _history_of(venue: PaperVenue, request: Request, symbol: str, name: str, rows: Rows[Row]) -> Response:
    check_symbol(symbol, STOCKS)
    known = [symbol] if symbol in _named(venue) else []
    found, token = page(rows, known, _asked(venue, request))
    return _shown(request, {name: found.get(symbol, []), "symbol": symbol, "next_page_token": token})


def _newest(
    venue: PaperVenue, request: Request, newest: Callable[[str], Row | None], shown: Callable[[Row], Json]
) -> Json:
    expect_only(request, (*_NEWEST, "symbols"))
    check_source(request, LATEST_FEEDS)
    found = {symbol: newest(symbol) for symbol in read_symbols(request, STOCKS, _recorded(venue))}
    return {symbol: shown(row) for symbol, row in found.items() if row is not None}


def _newest_of(
    venue: PaperVenue,
    request: Request,
    symbol: str,
    newest: Callable[[str], Row | None],
    shown: Callable[[Row], Json],
) -> Json:
    expect_only(request, _NEWEST)
    check_source(request, LATEST_FEEDS)
    check_symbol(symbol, STOCKS)
    found = newest(symbol) if symbol in _recorded(venue) else None
    if found is None:
        raise Refusal(404, 40410000, f"no data found for {symbol}")
    return shown(found)
