"""What is answered instead, and how an answer is spoilt."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast_exchange.rules import UNPROCESSABLE

JSON = b"application/json; charset=UTF-8"
HTML = b"text/html"
REQUESTS_PER_MINUTE = 200
USUAL: dict[int, tuple[int, str]] = {
    401: (40110000, "request is not authorized"),
    403: (40310000, "account is restricted to liquidation"),
    422: (UNPROCESSABLE, "request cannot be processed"),
    429: (42910000, "rate limit exceeded"),
    500: (50010000, "internal server error occurred"),
}
REASONS = {200: "OK", 403: "Forbidden", 500: "Internal Server Error"}
REASONS |= {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}
STRANGE_FIELDS: dict[str, Any] = {
    "venue_flags": {"routing": ["dark", None], "tier": 3},
    "settlement_hint": None,
    "expected_latency_us": 12.5,
}
"""Fields of an answer that no description knows."""


@dataclass(slots=True)
class Body:
    """A whole HTTP answer."""

    status: int
    content: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def is_json(self) -> bool:
        kinds = [value for name, value in self.headers if name.lower() == b"content-type"]
        return bool(self.content) and any(b"json" in value for value in kinds)


def error(status: int, code: int | None, message: str, *, retry_after_secs: int, wall_secs: float) -> Body:
    """An error of the venue, or, as 502 to 504, of the gateway before it."""
    if status not in USUAL:
        return html(status, retry_after_secs if status == 503 else None)
    usual_code, usual_message = USUAL[status]
    body = {"code": usual_code if code is None else code, "message": message or usual_message}
    headers = [(b"content-type", JSON)]
    if status == 429:
        reset = int(wall_secs) + retry_after_secs
        shown = {"limit": REQUESTS_PER_MINUTE, "remaining": 0, "reset": reset}
        headers += [(f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in shown.items()]
        headers.append((b"retry-after", str(retry_after_secs).encode()))
    return Body(status, json.dumps(body).encode(), headers)


def html(status: int, retry_after_secs: int | None = None) -> Body:
    """What a gateway shows."""
    title = f"{status} {REASONS[status]}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    headers = [(b"content-type", HTML)]
    if retry_after_secs is not None:
        headers.append((b"retry-after", str(retry_after_secs).encode()))
    return Body(status, page.encode(), headers)


def error_in_200(message: str) -> Body:
    return Body(200, json.dumps({"code": 50010000, "message": message}).encode(), [(b"content-type", JSON)])


def of_another_order(answered: Body) -> Body:
    """The answer with an order that was never asked for."""

    def swap(order: dict[str, Any]) -> None:
        other = "00000000-0000-4000-8000-" + str(order.get("id", ""))[-12:].rjust(12, "0")
        order |= {"id": other, "client_order_id": f"other-{str(order.get('client_order_id'))[:24]}", "qty": "1"}

    def change(tree: Any) -> None:
        for order in orders_in(tree):
            swap(order)

    return edited(answered, change)


def edited(answered: Body, change: Callable[[Any], object]) -> Body:
    """The answer with its JSON changed in place."""
    try:
        tree = json.loads(answered.content)
    except ValueError:
        return answered
    change(tree)
    return Body(answered.status, json.dumps(tree, separators=(",", ":")).encode(), answered.headers)


def orders_in(tree: object) -> Iterator[dict[str, Any]]:
    """Every order in an answer or a frame, legs too."""
    if isinstance(tree, list):
        for item in tree:
            yield from orders_in(item)
    elif isinstance(tree, dict):
        if "client_order_id" in tree and "status" in tree:
            yield tree
        for value in tree.values():
            if isinstance(value, dict | list):
                yield from orders_in(value)


def restate(tree: object, status: str) -> None:
    """Gives every order another status."""
    for order in orders_in(tree):
        order["status"] = status


def add_strange_fields(tree: object) -> None:
    """To the object itself, or to each object of a list, and to every order in it."""
    for each in tree if isinstance(tree, list) else [tree]:
        if isinstance(each, dict):
            each |= STRANGE_FIELDS
    for order in orders_in(tree):
        order |= STRANGE_FIELDS
