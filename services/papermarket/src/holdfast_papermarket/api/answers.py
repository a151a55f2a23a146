"""Answers and errors as Alpaca writes them, and the reading of query values."""

import json
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any

from fastapi import Request, Response

from holdfast_core.money import InexactAmount, parse_amount
from holdfast_core.new_york import NEW_YORK
from holdfast_exchange.orders import Refusal
from holdfast_exchange.rules import UNPROCESSABLE, unprocessable

BAD_REQUEST = 40010001
INTERNAL = {"code": 50010000, "message": "internal server error occurred"}
YEARS = range(1900, 2200)
"""Of instants that are asked for; arithmetic with zones and periods never leaves what a datetime can hold."""
MAX_SHOWN = 64
"""Characters of a refused value that the answer repeats."""


def answer(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), status, media_type="application/json; charset=UTF-8")


async def refused(_request: Request, error: Exception) -> Response:
    """The handler of Refusal."""
    assert isinstance(error, Refusal)
    return answer({"code": error.code, "message": error.message} | error.details, error.status)


async def unknown_or_malformed(_request: Request, error: Exception) -> Response:
    """The handler of the framework's own errors: no such endpoint, or a query value of the wrong type."""
    status = getattr(error, "status_code", None)
    if status is not None:
        message = "endpoint not found." if status == 404 else "method not allowed"
        return answer({"code": status * 100_000, "message": message}, status)
    return answer({"code": BAD_REQUEST, "message": "invalid query value"}, 400)


async def not_in_calendar(_request: Request, error: Exception) -> Response:
    """The handler of OutsideCalendar: days were asked for of which the table of sessions says nothing."""
    return answer({"code": UNPROCESSABLE, "message": str(error)}, 422)


async def broken(_request: Request, _error: Exception) -> Response:
    """The handler of everything that nobody expected. `Unbroken` logs it."""
    return answer(INTERNAL, 500)


def bad_request(message: str) -> Refusal:
    return Refusal(400, BAD_REQUEST, message)


def read_instant(text: str, name: str, *, end_of_day: bool = False, zone: tzinfo = NEW_YORK) -> datetime:
    """RFC 3339 or a day of `zone`. Raises Refusal 400."""
    try:
        if len(text) == len("2013-10-07"):
            found = datetime.combine(date.fromisoformat(text), time.max if end_of_day else time.min, zone)
        else:
            found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise bad_request(f"invalid format for {name}: {text[:MAX_SHOWN]!r}") from None
    if found.year not in YEARS:
        raise bad_request(f"{name} must lie in the years {YEARS.start} to {YEARS.stop - 1}: {text[:MAX_SHOWN]!r}")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read_whole(text: str, name: str, *, least: int, most: int) -> int:
    """A whole number from `least` to `most`. Raises Refusal 400."""
    try:
        found = int(text[: MAX_SHOWN + 1])
    except ValueError:
        raise bad_request(f"invalid value for {name}: {text[:MAX_SHOWN]!r}") from None
    if found < least:
        raise bad_request(f"{name} must be at least {least}")
    if found > most or len(text) > MAX_SHOWN:
        raise bad_request(f"{name} must be at most {most}")
    return found


def read_sort(text: str) -> bool:
    """True for `desc`, newest first; `asc` where it is absent. Raises Refusal 400."""
    if text not in ("", "asc", "desc"):
        raise bad_request(f"invalid sort: {text[:MAX_SHOWN]}")
    return text == "desc"


async def read_json(request: Request) -> Any:
    """The JSON of a request's body. Raises Refusal 400, also where it is nested deeper than can be read."""
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise bad_request("request body format is invalid") from None


def read_number(value: Any, name: str) -> Decimal | None:
    """A JSON string or number, None where it is absent. Raises Refusal 422."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise InexactAmount
        return parse_amount(str(value))
    except InexactAmount:
        raise unprocessable(f"invalid {name}: {str(value)[:MAX_SHOWN]!r}") from None
