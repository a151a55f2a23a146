"""Queries of market data: which parameters an endpoint takes, what they must look like, and pages of rows.

Pages go symbol by symbol, each in time. A page token names the last row that was served, so new rows never shift what
comes next.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar

from fastapi import Request

from holdfast_exchange.adjustments import Adjustment
from holdfast_exchange.history import zone_of
from holdfast_exchange.timeframes import Timeframe, TimeframeInvalid, parse
from holdfast_papermarket.api.answers import YEARS, bad_request, read_instant, read_sort, read_whole

Json = dict[str, Any]
Row = TypeVar("Row")
DEFAULT_LIMIT, MAX_LIMIT = 1_000, 10_000
MAX_SYMBOLS = 1_000
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
RANGE = frozenset({"start", "end", "limit", "page_token", "sort"})
STOCK_RANGE = RANGE | {"feed", "asof", "currency"}
LATEST_FEEDS = frozenset({"iex", "sip", "otc", "delayed_sip", "boats", "overnight"})
HISTORY_FEEDS = frozenset({"iex", "sip", "otc", "boats"})
_STOCK = re.compile(r"^[A-Z][A-Z0-9]*([./-][A-Z0-9]+)*$")
_PAIR = re.compile(r"^[A-Z0-9]+/[A-Z0-9]+$")
_MICROSECOND = timedelta(microseconds=1)
FIRST_WINDOW = timedelta(days=7)
"""Rows are looked for in windows of time, each twice as wide as the one before."""


class Class(Enum):
    """Which half of the market an endpoint speaks of."""

    STOCKS = "stocks"
    CRYPTO = "crypto"


def expect_only(request: Request, allowed: Iterable[str]) -> None:
    """Raises Refusal 400 for parameters that the endpoint does not have."""
    if unknown := sorted(set(request.query_params) - set(allowed)):
        raise bad_request(f"unexpected parameter(s): {', '.join(unknown)}")


def read_symbols(request: Request, of: Class, known: Iterable[str]) -> list[str]:
    """The recorded ones of the symbols asked for, in order; unknown ones are left out, as Alpaca does. Refusal 400."""
    asked = {symbol.strip() for symbol in request.query_params.get("symbols", "").split(",")} - {""}
    if not asked:
        raise bad_request("symbols is required")
    if len(asked) > MAX_SYMBOLS:
        raise bad_request(f"too many symbols: {len(asked)}, the limit is {MAX_SYMBOLS}")
    for symbol in sorted(asked):
        check_symbol(symbol, of)
    return sorted(asked & set(known))


def check_symbol(symbol: str, of: Class) -> None:
    """Raises Refusal 400 for what can be no symbol."""
    form = _PAIR if of is Class.CRYPTO else _STOCK
    if form.match(symbol) is None:
        told = f" does not match {_PAIR.pattern}" if of is Class.CRYPTO else ""
        raise bad_request(f"invalid symbol: {symbol[:32]}{told}")


def read_timeframe(request: Request) -> Timeframe:
    """Raises Refusal 400."""
    text = request.query_params.get("timeframe", "")
    if not text:
        raise bad_request("timeframe is required")
    try:
        return parse(text)
    except TimeframeInvalid:
        raise bad_request(f"invalid timeframe: {text[:32]}") from None


def read_adjustment(request: Request) -> frozenset[Adjustment]:
    """`raw`, `all`, or any of split, dividend and spin-off, with commas. Raises Refusal 400."""
    parts = set((request.query_params.get("adjustment") or "raw").split(","))
    if parts == {"raw"}:
        return frozenset()
    if parts == {"all"}:
        return frozenset(Adjustment)
    if parts - {"split", "dividend", "spin-off"}:
        raise bad_request(f"invalid adjustment: {request.query_params['adjustment'][:32]}")
    return frozenset(Adjustment(part) for part in parts - {"spin-off"})


def check_source(request: Request, feeds: frozenset[str]) -> None:
    """Feed and currency, as far as they are given. Raises Refusal 400."""
    query = request.query_params
    if (feed := query.get("feed") or "iex") not in feeds:
        raise bad_request(f"invalid feed: {feed[:32]}")
    if (currency := query.get("currency") or "USD") != "USD":
        raise bad_request(f"invalid currency: {currency[:8]}: everything is recorded in USD")


def read_asof(request: Request, now: datetime) -> date | None:
    """The day on which a symbol is meant: today of New York by default, None for `-`. Raises Refusal 400."""
    asof = request.query_params.get("asof")
    if asof == "-":
        return None
    try:
        return date.fromisoformat(asof) if asof else now.astimezone(zone_of("")).date()
    except ValueError:
        raise bad_request(f"invalid asof: {str(asof)[:32]}") from None


@dataclass(frozen=True, slots=True)
class Range:
    """What a history request asks for: rows stamped in [start, end], after `after`."""

    start: datetime
    end: datetime
    limit: int
    newest_first: bool
    after: tuple[str, datetime] | None


def read_range(request: Request, of: Class, now: datetime) -> Range:
    """Start defaults to the beginning of the present day, end to the present. Raises Refusal 400."""
    query = request.query_params
    zone = zone_of("/" if of is Class.CRYPTO else "")
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    start = read_instant(query["start"], "start", zone=zone) if query.get("start") else today.astimezone(UTC)
    end = read_instant(query["end"], "end", end_of_day=True, zone=zone) if query.get("end") else now
    if end < start and query.get("end"):
        raise bad_request("end should not be before start")
    limit = read_whole(query.get("limit") or str(DEFAULT_LIMIT), "limit", least=1, most=MAX_LIMIT)
    newest_first = read_sort(query.get("sort", ""))
    after = _read_token(query["page_token"]) if query.get("page_token") else None
    # Nothing later than the present is there to be found.
    return Range(max(start, EARLIEST), min(end, now), limit, newest_first, after)


@dataclass(frozen=True, slots=True)
class Rows(Generic[Row]):
    """A kind of rows: how to find those stamped in [start, end], oldest first, and what each is stamped and shown."""

    find: Callable[[str, datetime, datetime], list[Row]]
    stamp: Callable[[Row], datetime]
    show: Callable[[Row], Json]


def page(rows: Rows[Row], symbols: list[str], asked: Range) -> tuple[Mapping[str, list[Json]], str | None]:
    """One page by symbol, and the token of the next one."""
    found: dict[str, list[Json]] = {}
    room = asked.limit
    last: tuple[str, datetime] | None = None
    for symbol in symbols:
        start, end = asked.start, asked.end
        if asked.after is not None:
            at_symbol, at = asked.after
            if symbol < at_symbol:
                continue
            if symbol == at_symbol:
                start, end = (start, at - _MICROSECOND) if asked.newest_first else (at + _MICROSECOND, end)
        listed = _listed(rows, symbol, start, end, room + 1, newest_first=asked.newest_first)
        if listed and not room:
            assert last is not None
            return found, _write_token(*last)
        if taken := listed[:room]:
            found[symbol] = [rows.show(row) for row in taken]
            last = symbol, rows.stamp(taken[-1])
            room -= len(taken)
        if len(taken) < len(listed):
            assert last is not None
            return found, _write_token(*last)
    return found, None


def _listed(
    rows: Rows[Row], symbol: str, start: datetime, end: datetime, enough: int, *, newest_first: bool
) -> list[Row]:
    """At least `enough` rows, or all there are, in the order asked for: a page of years does not read years."""
    found: list[Row] = []
    width = FIRST_WINDOW
    while start <= end and len(found) < enough:
        if newest_first:
            edge = end - width if end - start > width else start
            found += rows.find(symbol, edge, end)[::-1]
            end = edge - _MICROSECOND
        else:
            edge = start + width if end - start > width else end
            found += rows.find(symbol, start, edge)
            start = edge + _MICROSECOND
        width *= 2
    return found


def _write_token(symbol: str, at: datetime) -> str:
    return base64.urlsafe_b64encode(f"{symbol}|{at.astimezone(UTC).isoformat()}".encode()).decode()


def _read_token(text: str) -> tuple[str, datetime]:
    try:
        symbol, _, at = base64.urlsafe_b64decode(text).decode().partition("|")
        found = datetime.fromisoformat(at)
    except (binascii.Error, ValueError):
        raise bad_request("invalid page_token") from None
    if found.tzinfo is None or found.year not in YEARS:
        raise bad_request("invalid page_token")
    return symbol, found
