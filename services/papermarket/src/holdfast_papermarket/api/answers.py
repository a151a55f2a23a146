"""Answers and errors as Alpaca writes them, and the reading of query values."""

import json
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any

from fastapi import Request, Response

from holdfast_core.money import InexactAmount, parse_amount
from holdfast_exchange.orders import Refusal
from holdfast_exchange.recording import NEW_YORK

BAD_REQUEST = 40010001
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


def bad_request(message: str) -> Refusal:
    return Refusal(400, BAD_REQUEST, message)


def read_instant(text: str, name: str, *, end_of_day: bool = False, zone: tzinfo = NEW_YORK) -> datetime:
    """RFC 3339 or a day of `zone`. Raises Refusal 400."""
    try:
        if len(text) == len("2013-10-07"):
            return datetime.combine(date.fromisoformat(text), time.max if end_of_day else time.min, zone)
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise bad_request(f"invalid format for {name}: {text!r}") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read_whole(text: str, name: str, *, least: int, most: int) -> int:
    """A whole number from `least` to `most`; Alpaca cuts larger ones down. Raises Refusal 400."""
    try:
        found = int(text)
    except ValueError:
        raise bad_request(f"invalid value for {name}: {text!r}") from None
    if found < least:
        raise bad_request(f"{name} must be at least {least}")
    return min(found, most)


def read_number(value: Any, name: str) -> Decimal | None:
    """A JSON string or number, None where it is absent. Raises Refusal 422."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise InexactAmount
        return parse_amount(str(value))
    except InexactAmount:
        raise Refusal(422, 42210000, f"invalid {name}: {str(value)[:MAX_SHOWN]!r}") from None
