"""Alpaca's account over REST: the account itself, its configuration, activities and history over time."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import get_args

from fastapi import APIRouter, Request, Response
from fastapi.datastructures import QueryParams

from holdfast_core.new_york import new_york_day, new_york_midnight
from holdfast_core.sessions import previous_session, session_of
from holdfast_exchange.account_commands import Configure
from holdfast_exchange.books import EntryKind
from holdfast_exchange.portfolio_history import DAILY, WINDOWS, Baseline, HistoryQuery, Hours, history
from holdfast_exchange.rules import unprocessable
from holdfast_papermarket import account_json
from holdfast_papermarket.account_json import Told
from holdfast_papermarket.api.answers import answer, bad_request, read_instant
from holdfast_papermarket.api.order_body import read_object
from holdfast_papermarket.api.order_queries import read_size
from holdfast_papermarket.published.kinds import NonTradeActivityType
from holdfast_papermarket.trading_json import Json
from holdfast_papermarket.venue import PaperVenue

MAX_ACTIVITIES = 100
OTHER_KINDS = frozenset[str](get_args(NonTradeActivityType)) | frozenset(EntryKind)
"""What Alpaca knows besides fills."""
_PERIOD = re.compile(r"^([1-9]\d{0,3})([DWMA])$")
_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
LONGEST = timedelta(days=100 * 365)
"""Of a period. The table of sessions ends long before."""


def account_routes(venue: PaperVenue, opened_at: datetime) -> APIRouter:
    """Routes of one account, opened at `opened_at` of market time."""
    routes = APIRouter(prefix="/v2/account", tags=["trading"])
    exchange = venue.exchange

    @routes.get("")
    async def get_account() -> Response:
        return answer(account_json.account(exchange, opened_at))

    @routes.get("/configurations")
    async def get_configurations() -> Response:
        return answer(account_json.configuration(exchange.account.configuration))

    @routes.patch("/configurations")
    async def change_configurations(request: Request) -> Response:
        changed = exchange.account.configuration.changed(await read_object(request))
        venue.carry_out(Configure(venue.market_now(), changed))
        return answer(account_json.configuration(exchange.account.configuration))

    @routes.get("/activities")
    async def list_activities(request: Request) -> Response:
        query = request.query_params
        told = [kind for each in query.getlist("activity_types") for kind in each.split(",") if kind]
        category = query.get("category", "")
        if told and category:
            raise unprocessable("cannot specify both category and activity types")
        if category not in ("", "trade_activity", "non_trade_activity"):
            raise unprocessable(f"invalid category: {category!r}")
        kinds = {"": None, "trade_activity": {"FILL"}, "non_trade_activity": OTHER_KINDS}[category]
        return answer(_activities(venue, query, _known(told) if told else kinds))

    @routes.get("/activities/{kind}")
    async def list_activities_of(kind: str, request: Request) -> Response:
        return answer(_activities(venue, request.query_params, _known([kind])))

    @routes.get("/portfolio/history")
    async def portfolio_history(request: Request) -> Response:
        asked = _history_query(request.query_params, venue.market_now())
        return answer(account_json.history(history(exchange, opened_at, asked), asked.timeframe))

    return routes


def _known(kinds: list[str]) -> frozenset[str]:
    if unknown := sorted(set(kinds) - OTHER_KINDS - {"FILL"}):
        raise unprocessable(f"invalid activity type: {unknown[0][:64]!r}")
    return frozenset(kinds)


def _activities(venue: PaperVenue, query: QueryParams, kinds: Collection[str] | None) -> list[Json]:
    """Newest first unless asked otherwise; `page_token` is the last id of the page before."""
    found = account_json.activities(venue.exchange)
    if kinds is not None:
        found = [each for each in found if each.kind in kinds]
    if query.get("date"):
        if query.get("after") or query.get("until"):
            raise unprocessable("date cannot be used with after or until")
        day = new_york_day(read_instant(query["date"], "date"))
        found = [each for each in found if new_york_day(each.value.at) == day]
    if query.get("after"):
        after = read_instant(query["after"], "after")
        found = [each for each in found if each.value.at > after]
    if query.get("until"):
        until = read_instant(query["until"], "until", end_of_day=True)
        found = [each for each in found if each.value.at <= until]
    return [account_json.activity(venue.exchange, each) for each in _page(found, query)]


def _page(found: list[Told], query: QueryParams) -> list[Told]:
    direction = query.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise unprocessable(f"invalid direction: {direction!r}")
    if direction == "desc":
        found.reverse()
    if token := query.get("page_token"):
        ids = [each.id for each in found]
        if token not in ids:
            raise bad_request(f"invalid page_token: {token[:64]!r}")
        found = found[ids.index(token) + 1 :]
    if query.get("date") and not query.get("page_size"):
        return found
    return found[: read_size(query, "page_size", default=MAX_ACTIVITIES, most=MAX_ACTIVITIES)]


def _history_query(query: Mapping[str, str], now: datetime) -> HistoryQuery:
    """Of `start`, `end` and `period` two decide: a month that ends now unless told otherwise. Raises Refusal 422."""
    end_text = query.get("end") or query.get("date_end") or ""
    start_text, period = query.get("start", ""), query.get("period", "")
    if start_text and end_text and period:
        raise unprocessable("only two of start, end and period can be specified at the same time")
    end = min(read_instant(end_text, "end", end_of_day=True), now) if end_text else now
    if start_text:
        start = read_instant(start_text, "start")
        if period and not end_text:
            end = min(now, start + _length(period))
    else:
        start = _period_start(period or "1M", end)
    timeframe = query.get("timeframe", "") or _usual(end - start)
    extended = query.get("extended_hours", "").lower() == "true"
    try:
        hours = Hours(query.get("intraday_reporting") or (Hours.EXTENDED if extended else Hours.MARKET))
        baseline = Baseline(query.get("pnl_reset") or Baseline.PER_DAY)
    except ValueError as error:
        raise unprocessable(f"invalid value: {str(error)[:64]}") from None
    return HistoryQuery(timeframe=timeframe, start=start, end=end, hours=hours, baseline=baseline)


def _period_start(period: str, end: datetime) -> datetime:
    """Days are those that trade: `1D` is the session that is under way or was the last."""
    length, day = _length(period), new_york_day(end)
    if not period.endswith("D"):
        return new_york_midnight(day - length)
    session = session_of(day)
    if session is None or end < session.open:
        session = previous_session(end)
    for _ in range(length.days - 1):
        session = previous_session(session.open)
    return new_york_midnight(session.day)


def _length(period: str) -> timedelta:
    match = _PERIOD.match(period)
    length = timedelta(days=_DAYS[match[2]] * int(match[1])) if match else timedelta()
    if not timedelta() < length <= LONGEST:
        raise unprocessable(f"invalid period: {period[:64]!r}")
    return length


def _usual(length: timedelta) -> str:
    """The timeframe where none is asked for."""
    if length < timedelta(days=7):
        return "1Min"
    return "15Min" if length < timedelta(days=30) else DAILY


assert DAILY not in WINDOWS
