"""The query of GET /v2/orders: which of the account's orders are listed, and in which order (BR-4)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from fastapi.datastructures import QueryParams

from holdfast_exchange.orders import Order, Status
from holdfast_exchange.rules import unprocessable
from holdfast_papermarket.api.answers import MAX_SHOWN, bad_request, read_instant
from holdfast_papermarket.venue import PaperVenue

DEFAULT_ORDERS, MAX_ORDERS = 50, 500
PAIRS = "/"


def read_flag(query: QueryParams, name: str) -> bool:
    """False where it is absent. Raises Refusal 400."""
    text = query.get(name, "").lower()
    if text not in ("", "true", "false", "1", "0"):
        raise bad_request(f"invalid value for {name}: {text[:MAX_SHOWN]!r}")
    return text in ("true", "1")


def read_choice(query: QueryParams, name: str, words: tuple[str, ...]) -> str:
    """One of `words`; the first where it is absent. Raises Refusal 422."""
    text = query.get(name) or words[0]
    if text not in words:
        raise unprocessable(f"invalid {name}: {text[:MAX_SHOWN]!r}")
    return text


def read_size(query: QueryParams, name: str, *, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises Refusal 422."""
    text = query.get(name) or str(default)
    readable = text.isascii() and text.isdigit() and len(text) <= MAX_SHOWN
    if not readable or not 1 <= int(text) <= most:
        raise unprocessable(f"{name} must be a whole number from 1 to {most}")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersQuery:
    """`after` and `until` are exclusive; None and empty sets are no limits."""

    status: str
    newest_first: bool
    limit: int
    nested: bool
    symbols: frozenset[str]
    side: str
    classes: frozenset[str]
    after: datetime | None
    until: datetime | None
    after_order_id: str
    before_order_id: str

    @classmethod
    def read(cls, query: QueryParams) -> Self:
        """Raises Refusal 400, 422."""
        return cls(
            status=read_choice(query, "status", ("open", "closed", "all")),
            newest_first=read_choice(query, "direction", ("desc", "asc")) == "desc",
            limit=read_size(query, "limit", default=DEFAULT_ORDERS, most=MAX_ORDERS),
            nested=read_flag(query, "nested"),
            # Pairs are asked for without their stroke, too.
            symbols=frozenset(each.replace(PAIRS, "") for each in query.get("symbols", "").split(",") if each),
            side=read_choice(query, "side", ("", "buy", "sell")),
            classes=frozenset(each for each in query.get("asset_class", "").split(",") if each) - {"all"},
            after=read_instant(query["after"], "after") if query.get("after") else None,
            until=read_instant(query["until"], "until", end_of_day=True) if query.get("until") else None,
            after_order_id=query.get("after_order_id", ""),
            before_order_id=query.get("before_order_id", ""),
        )

    def choose(self, venue: PaperVenue) -> list[Order]:
        """Nested, a leg stands under its parent where that is listed too. Raises Refusal 404."""
        exchange = venue.exchange
        first = exchange.order(self.after_order_id).sequence if self.after_order_id else None
        last = exchange.order(self.before_order_id).sequence if self.before_order_id else None
        found: dict[str, Order] = {}
        for order in exchange.open_orders() if self.status == "open" else exchange.orders.values():
            if not self._wants(order) or (self.classes and _class(venue, order) not in self.classes):
                continue
            if (first is not None and order.sequence <= first) or (last is not None and order.sequence >= last):
                continue
            found[order.id] = order
        if self.nested:
            below = {key for key, order in found.items() if _stands_below(order, found)}
            found = {key: order for key, order in found.items() if key not in below}
        listed = sorted(found.values(), key=lambda order: order.sequence, reverse=self.newest_first)
        return listed[: self.limit]

    def _wants(self, order: Order) -> bool:
        if self.status == "closed" and order.is_open:
            return False
        if self.symbols and order.symbol.replace(PAIRS, "") not in self.symbols:
            return False
        if self.side and order.side.value != self.side:
            return False
        return not (
            (self.after is not None and order.created_at <= self.after)
            or (self.until is not None and order.created_at >= self.until)
        )


def _class(venue: PaperVenue, order: Order) -> str:
    return venue.exchange.asset(order.symbol).asset_class.value


def _stands_below(order: Order, listed: dict[str, Order]) -> bool:
    if order.parent is None or order.parent not in listed:
        return False
    return order.id in listed[order.parent].legs or order.status is Status.REPLACED
