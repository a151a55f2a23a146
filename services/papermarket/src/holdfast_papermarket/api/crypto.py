"""Alpaca's market-data REST for crypto pairs, `/v1beta3/crypto/{loc}`: only what is visible at market time (BK-1)."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from holdfast_papermarket import market_json
from holdfast_papermarket.api.answers import answer, bad_request
from holdfast_papermarket.api.data_queries import (
    RANGE,
    Class,
    Rows,
    expect_only,
    page,
    read_range,
    read_symbols,
    read_timeframe,
)
from holdfast_papermarket.api.market_rows import MarketRows
from holdfast_papermarket.venue import PaperVenue

Json = dict[str, Any]
Row = TypeVar("Row")
CRYPTO = Class.CRYPTO
LOCATIONS = ("us", "us-1", "us-2", "eu-1", "bs-1")


def crypto_routes(venue: PaperVenue, rows: MarketRows) -> APIRouter:
    """Every location shows the same recording."""
    routes = APIRouter(prefix="/v1beta3/crypto/{loc}", tags=["market data"])

    @routes.get("/bars")
    async def bars(loc: str, request: Request) -> Response:
        expect_only(request, RANGE | {"symbols", "timeframe"})
        return _history(venue, loc, request, "bars", rows.bars(read_timeframe(request)))

    @routes.get("/quotes")
    async def quotes(loc: str, request: Request) -> Response:
        expect_only(request, RANGE | {"symbols"})
        return _history(venue, loc, request, "quotes", rows.quotes())

    @routes.get("/trades")
    async def trades(loc: str, request: Request) -> Response:
        expect_only(request, RANGE | {"symbols"})
        return _history(venue, loc, request, "trades", rows.trades())

    @routes.get("/latest/bars")
    async def latest_bars(loc: str, request: Request) -> Response:
        return answer({"bars": _newest(venue, loc, request, rows.latest_bar, market_json.bar)})

    @routes.get("/latest/quotes")
    async def latest_quotes(loc: str, request: Request) -> Response:
        return answer({"quotes": _newest(venue, loc, request, rows.latest_quote, market_json.quote)})

    @routes.get("/latest/trades")
    async def latest_trades(loc: str, request: Request) -> Response:
        return answer({"trades": _newest(venue, loc, request, rows.latest_trade, market_json.trade)})

    @routes.get("/latest/orderbooks")
    async def latest_orderbooks(loc: str, request: Request) -> Response:
        return answer({"orderbooks": _newest(venue, loc, request, rows.latest_quote, market_json.orderbook)})

    @routes.get("/snapshots")
    async def snapshots(loc: str, request: Request) -> Response:
        return answer({"snapshots": _newest(venue, loc, request, lambda symbol: symbol, rows.snapshot)})

    return routes


def _recorded(venue: PaperVenue, loc: str) -> Iterable[str]:
    if loc not in LOCATIONS:
        raise bad_request(f"invalid location: {loc[:16]}")
    return [symbol for symbol in venue.exchange.market.symbols if market_json.is_pair(symbol)]


def _history(venue: PaperVenue, loc: str, request: Request, name: str, rows: Rows[Row]) -> Response:
    symbols = read_symbols(request, CRYPTO, _recorded(venue, loc))
    found, token = page(rows, symbols, read_range(request, CRYPTO, venue.market_now()))
    return answer({name: found, "next_page_token": token})


def _newest(
    venue: PaperVenue, loc: str, request: Request, newest: Callable[[str], Row | None], shown: Callable[[Row], Json]
) -> Json:
    expect_only(request, ("symbols",))
    found = {symbol: newest(symbol) for symbol in read_symbols(request, CRYPTO, _recorded(venue, loc))}
    return {symbol: shown(row) for symbol, row in found.items() if row is not None}
