"""Options flow and dark pool in the form of Unusual Whales' API, under `/unusualwhales` (FP-1.1 … FP-1.6).

Each item says in `provenance` whether it is recorded or generated, the header X-Holdfast-Provenance what the answer
holds. Numbers are strings, instants RFC 3339. Newest first, never anything later than the present market time.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from holdfast_core.money import plain
from holdfast_exchange.flow import DarkPrint, FlowAlert
from holdfast_exchange.flow_tape import FlowTape
from holdfast_papermarket.api.flow_filters import FlowQueryInvalid, keeps, parse_limit
from holdfast_papermarket.api.metering import Meter
from holdfast_papermarket.market_json import iso

Json = dict[str, Any]
Item = TypeVar("Item", FlowAlert, DarkPrint)
PREFIX = "/unusualwhales"
PROVENANCE = "X-Holdfast-Provenance"
REQUESTS_PER_MINUTE = 120
MAX_ALERTS, DEFAULT_ALERTS = 200, 100
MAX_PRINTS = 500
_MILLISECOND = timedelta(milliseconds=1)


def flow_routes(tape: FlowTape, token: str, now: Callable[[], datetime]) -> APIRouter:
    """`/api/option-trades/flow-alerts`, `/api/darkpool/{ticker}` and `/api/darkpool/recent`; `token` is the key."""
    routes = APIRouter(prefix=PREFIX, tags=["options flow"])
    gate = _Gate(token, Meter(REQUESTS_PER_MINUTE, now))

    def alerts(request: Request) -> Response:
        query = request.query_params
        limit = parse_limit(query, default=DEFAULT_ALERTS, most=MAX_ALERTS)
        wanted = _tickers(query.get("ticker_symbol", ""), tape.symbols)
        kept = (alert for symbol in wanted for alert in tape.alerts(symbol) if keeps(query, alert, alert.created_at))
        found = _newest(kept, lambda alert: (alert.created_at, alert.id), limit)
        return gate.answer({"data": [flow_alert(alert) for alert in found]}, found)

    def prints(request: Request, ticker: str) -> Response:
        query = request.query_params
        limit = parse_limit(query, default=MAX_PRINTS, most=MAX_PRINTS)
        wanted = tape.symbols if ticker == "recent" else _tickers(ticker, tape.symbols)
        kept = (each for symbol in wanted for each in tape.prints(symbol) if keeps(query, each, each.executed_at))
        found = _newest(kept, lambda each: (each.executed_at, str(each.id)), limit)
        return gate.answer({"data": [dark_print(each) for each in found]}, found)

    @routes.get("/api/option-trades/flow-alerts")
    async def flow_alerts(request: Request) -> Response:
        return gate.guarded(request, lambda: alerts(request))

    @routes.get("/api/darkpool/{ticker}")
    async def darkpool(request: Request, ticker: str) -> Response:
        return gate.guarded(request, lambda: prints(request, ticker))

    @routes.get("/{rest:path}", include_in_schema=False)
    async def unknown(request: Request, rest: str) -> Response:
        return gate.guarded(request, lambda: gate.refuse(404, f"no such endpoint: /{rest[:64]}"))

    return routes


class _Gate:
    """Key, limit, headers and errors of every answer."""

    def __init__(self, token: str, meter: Meter) -> None:
        self._token = f"Bearer {token}".encode()
        self._meter = meter
        self._today = 0

    def guarded(self, request: Request, ask: Callable[[], Response]) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._token):
            return _json({"error": "Unauthorized: the bearer token is missing or wrong"}, 401, {})
        if not self._meter.take():
            return self.refuse(429, "Too many requests: wait for the minute to pass")
        self._today += 1
        try:
            return ask()
        except FlowQueryInvalid as error:
            return self.refuse(error.status, str(error))

    def refuse(self, status: int, message: str) -> Response:
        return _json({"error": message}, status, self._limits())

    def answer(self, body: Json, items: Sequence[FlowAlert] | Sequence[DarkPrint]) -> Response:
        kinds = sorted({item.provenance.value for item in items})
        told = "none" if not kinds else kinds[0] if len(kinds) == 1 else "mixed"
        return _json(body, 200, self._limits() | {PROVENANCE: told})

    def _limits(self) -> dict[str, str]:
        return {
            "x-uw-req-per-minute-remaining": str(self._meter.limit - self._meter.used),
            "x-uw-minute-req-counter": str(self._meter.used),
            "x-uw-req-per-minute-reset": str(self._meter.reset_ms),
            "x-uw-daily-req-count": str(self._today),
        }


def flow_alert(alert: FlowAlert) -> Json:
    """One alert with every field that Unusual Whales names; null is not known."""
    interest = alert.open_interest
    return {
        "id": alert.id,
        "ticker": alert.ticker,
        "option_chain": alert.contract,
        "type": alert.right,
        "strike": _text(plain(alert.strike)),
        "expiry": alert.expiry.isoformat(),
        "price": _text(alert.price),
        "underlying_price": _text(alert.underlying_price),
        "total_size": str(alert.size),
        "total_premium": _text(alert.premium),
        "total_ask_side_prem": _text(alert.ask_premium),
        "total_bid_side_prem": _text(alert.bid_premium),
        "trade_count": _text(alert.trades),
        "volume": str(alert.volume),
        "open_interest": _text(interest),
        "volume_oi_ratio": None
        if not interest
        else _text((Decimal(alert.volume) / interest).quantize(Decimal("0.0001"))),
        "has_sweep": alert.sweep,
        "has_floor": alert.floor,
        "has_multileg": alert.multileg,
        "has_singleleg": not alert.multileg,
        "all_opening_trades": alert.opening,
        "alert_rule": alert.rule,
        "rule_id": None,
        "expiry_count": "1",
        "iv_start": _text(alert.iv_start),
        "iv_end": _text(alert.iv_end),
        "created_at": iso(alert.created_at),
        "start_time": (alert.start - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND,
        "end_time": (alert.end - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND,
        "issue_type": "Common Stock",
        "sector": None,
        "marketcap": None,
        "next_earnings_date": None,
        "er_time": None,
        "provenance": alert.provenance.value,
        "made_up_fields": list(alert.made_up),
    }


def dark_print(found: DarkPrint) -> Json:
    """One print off the exchanges."""
    return {
        "tracking_id": found.id,
        "ticker": found.ticker,
        "size": found.size,
        "price": _text(found.price),
        "premium": _text(found.premium.quantize(Decimal("0.01"))),
        "nbbo_bid": _text(found.bid),
        "nbbo_ask": _text(found.ask),
        "nbbo_bid_quantity": found.bid_size,
        "nbbo_ask_quantity": found.ask_size,
        "executed_at": iso(found.executed_at),
        "volume": found.volume,
        "canceled": False,
        "market_center": "D",
        "ext_hour_sold_codes": None,
        "sale_cond_codes": None,
        "trade_code": None,
        "trade_settlement": "regular",
        "provenance": found.provenance.value,
    }


def _tickers(text: str, known: Iterable[str]) -> list[str]:
    """The known ones of `A,B`, or all but those of `-A,-B`; nothing given means all. Raises FlowQueryInvalid."""
    asked = [part.strip().upper() for part in text.split(",") if part.strip()]
    if any(not part.lstrip("-").replace(".", "").isalnum() for part in asked):
        raise FlowQueryInvalid(400, f"ticker_symbol: {text[:32]!r} is no list of tickers")
    without = {part[1:] for part in asked if part.startswith("-")}
    wanted = {part for part in asked if not part.startswith("-")}
    return [symbol for symbol in known if symbol not in without and (not wanted or symbol in wanted)]


def _newest(found: Iterable[Item], key: Callable[[Item], Any], limit: int) -> list[Item]:
    return sorted(found, key=key, reverse=True)[:limit]


def _text(value: Decimal | int | None) -> str | None:
    return None if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)


def _json(body: Json, status: int, headers: dict[str, str]) -> Response:
    content = json.dumps(body, separators=(",", ":"))
    return Response(content, status, headers=headers, media_type="application/json")
