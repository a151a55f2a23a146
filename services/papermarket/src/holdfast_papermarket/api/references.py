"""What Alpaca tells everybody: assets, clock, calendar and corporate actions, all of them as of market time."""

from collections.abc import Mapping
from datetime import date, timedelta

from fastapi import APIRouter, Request, Response

from holdfast_core.new_york import new_york_day
from holdfast_core.sessions import Session, sessions_between
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.orders import Refusal
from holdfast_exchange.rules import unprocessable
from holdfast_papermarket import account_json, trading_json
from holdfast_papermarket.api.answers import answer, bad_request, read_instant, read_sort, read_whole
from holdfast_papermarket.trading_json import Json
from holdfast_papermarket.venue import PaperVenue

NOT_FOUND = 40410000
FIRST_DAY, LAST_DAY = date(1998, 1, 1), date(2030, 12, 31)
"""What the table of sessions covers."""
LONGEST = timedelta(days=90)
"""Of announcements that are asked for at once."""
TYPES = ("dividend", "merger", "spinoff", "split")
DATES = ("declaration_date", "ex_date", "record_date", "payable_date")
DEFAULT_ACTIONS, MAX_ACTIONS = 100, 1000


def reference_routes(venue: PaperVenue) -> APIRouter:
    """Routes of the trading API that are no account's own, and market data's corporate actions."""
    routes = APIRouter(tags=["trading"])
    exchange = venue.exchange

    @routes.get("/v2/clock")
    async def get_clock() -> Response:
        return answer(trading_json.clock(venue.market_now(), venue.exchange.disturbances.early_closes))

    @routes.get("/v2/calendar")
    async def get_calendar(start: str = "", end: str = "") -> Response:
        first = max(_read_day(start, "start"), FIRST_DAY) if start else FIRST_DAY
        last = min(_read_day(end, "end"), LAST_DAY) if end else LAST_DAY
        sessions = sessions_between(first, last) if first <= last else []
        settled = _settlement(sessions, exchange.account.config.settlement_days)
        return answer(trading_json.calendar([_as_it_is(venue, each) for each in sessions], settled))

    @routes.get("/v2/assets")
    async def list_assets(request: Request) -> Response:
        query = request.query_params
        shown = [account_json.asset(exchange, symbol) for symbol in sorted(exchange.market.symbols)]
        return answer([each for each in shown if _wanted(each, query)])

    @routes.get("/v2/assets/{symbol:path}")
    async def get_asset(symbol: str) -> Response:
        return answer(account_json.asset(exchange, recorded_symbol(venue, symbol)))

    @routes.get("/v2/corporate_actions/announcements")
    async def list_announcements(request: Request) -> Response:
        return answer([account_json.announcement(action) for action in _announced(venue, request.query_params)])

    @routes.get("/v2/corporate_actions/announcements/{action_id}")
    async def get_announcement(action_id: str) -> Response:
        for action in _known(venue):
            if action.id == action_id and account_json.announced_type(action.kind):
                return answer(account_json.announcement(action))
        raise Refusal(404, NOT_FOUND, f"announcement not found for {action_id}")

    @routes.get("/v1/corporate-actions")
    async def list_corporate_actions(request: Request) -> Response:
        return answer(_market_actions(venue, request.query_params))

    return routes


def recorded_symbol(venue: PaperVenue, text: str) -> str:
    """The symbol behind a symbol, a pair without its stroke or an asset id. Raises Refusal 404."""
    for symbol in venue.exchange.market.symbols:
        if text in (symbol, symbol.replace("/", ""), venue.exchange.asset_id(symbol)):
            return symbol
    raise Refusal(404, NOT_FOUND, f"asset not found for {text}")


def _wanted(asset: Json, query: Mapping[str, str]) -> bool:
    status, attributes = query.get("status", ""), query.get("attributes", "")
    if status not in ("", "all") and asset["status"] != status:
        return False
    if asset["class"] != (query.get("asset_class") or "us_equity"):
        return False
    if query.get("exchange") and asset["exchange"] != query["exchange"]:
        return False
    return not attributes or bool(set(attributes.split(",")) & set(asset["attributes"]))


def _settlement(sessions: list[Session], days: int) -> dict[date, date]:
    """When a trade of each session settles: so many sessions later. Past the table's end it is the table's last."""
    if not sessions:
        return {}
    later = sessions_between(sessions[0].day, min(sessions[-1].day + timedelta(days=days + 7), LAST_DAY))
    return {each.day: later[min(place + days, len(later) - 1)].day for place, each in enumerate(sessions)}


# Corporate actions


def _known(venue: PaperVenue) -> list[CorporateAction]:
    return account_json.known(venue.exchange.account.actions, new_york_day(venue.market_now()))


def _announced(venue: PaperVenue, query: Mapping[str, str]) -> list[CorporateAction]:
    types = {each.lower() for each in query.get("ca_types", "").split(",") if each}
    if not types or not types <= set(TYPES):
        raise unprocessable(f"ca_types must be among {', '.join(TYPES)}")
    if not query.get("since") or not query.get("until"):
        raise unprocessable("since and until are required")
    since, until = (_read_day(query[name], name) for name in ("since", "until"))
    if not since <= until <= since + LONGEST:
        raise unprocessable(f"until must be within {LONGEST.days} days after since")
    date_type = query.get("date_type") or "ex_date"
    if date_type not in DATES:
        raise unprocessable(f"date_type must be among {', '.join(DATES)}")
    found = []
    for action in _known(venue):
        if account_json.announced_type(action.kind) not in types or query.get("cusip"):
            continue
        day = account_json.announcement(action)[date_type]
        if query.get("symbol", action.symbol) == action.symbol and day and since <= date.fromisoformat(day) <= until:
            found.append(action)
    return found


def _market_actions(venue: PaperVenue, query: Mapping[str, str]) -> Json:
    """By kind, oldest first; a page's token is the number of actions before it."""
    names = {each for each in query.get("types", "").split(",") if each}
    if unknown := sorted(names - {kind.value for kind in ActionKind}):
        raise bad_request(f"invalid type: {unknown[0][:64]!r}")
    symbols = {each for each in query.get("symbols", "").split(",") if each}
    ids = {each for each in query.get("ids", "").split(",") if each}
    if ids and (names or symbols or query.get("start") or query.get("end")):
        raise bad_request("ids cannot be used with other filters")
    today = new_york_day(venue.market_now())
    start = _read_day(query["start"], "start") if query.get("start") else (date.min if ids else today)
    end = _read_day(query["end"], "end") if query.get("end") else (date.max if ids else today)
    found = [
        action
        for action in _known(venue)
        if start <= action.ex_date <= end
        and (not names or action.kind.value in names)
        and (not symbols or action.symbol in symbols or action.new_symbol in symbols)
        and (not ids or action.id in ids)
    ]
    if read_sort(query.get("sort", "")):
        found.reverse()
    limit = read_whole(query.get("limit") or str(DEFAULT_ACTIONS), "limit", least=1, most=MAX_ACTIONS)
    first = read_whole(query.get("page_token") or "0", "page_token", least=0, most=len(found))
    shown: dict[str, list[Json]] = {}
    for action in found[first : first + limit]:
        shown.setdefault(account_json.LISTS[action.kind], []).append(account_json.corporate_action(action))
    following = first + limit
    return {"corporate_actions": shown, "next_page_token": str(following) if following < len(found) else None}


def _read_day(text: str, name: str) -> date:
    return new_york_day(read_instant(text, name))


def _as_it_is(venue: PaperVenue, session: Session) -> Session:
    """A session of the calendar with its early close."""
    return venue.exchange.hours.session_of(session.day) or session
