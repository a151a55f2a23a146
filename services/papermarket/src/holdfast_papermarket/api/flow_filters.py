"""Filters of the options flow: each query value of Unusual Whales' API, and what it keeps (FP-1.x)."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from fastapi.datastructures import QueryParams

from holdfast_core.new_york import NEW_YORK, new_york_day
from holdfast_exchange.flow import DarkPrint, FlowAlert

Number = Decimal | int | None
MAX_DIGITS = 16


class FlowQueryInvalid(ValueError):
    """A query value cannot be read. `status` is 400 for its form, 422 for its meaning."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


_ALERT_NUMBERS: Mapping[str, Callable[[FlowAlert], Number]] = {
    "premium": lambda alert: alert.premium,
    "size": lambda alert: alert.size,
    "volume": lambda alert: alert.volume,
    "open_interest": lambda alert: alert.open_interest,
    "volume_oi_ratio": lambda alert: Decimal(alert.volume) / alert.open_interest if alert.open_interest else None,
    "dte": lambda alert: (alert.expiry - new_york_day(alert.created_at)).days,
    "diff": lambda alert: _distance(alert),
}
_PRINT_NUMBERS: Mapping[str, Callable[[DarkPrint], Number]] = {
    "premium": lambda found: found.premium,
    "size": lambda found: found.size,
    "volume": lambda found: found.volume,
}
_MARKS: Mapping[str, Callable[[FlowAlert], bool]] = {
    "is_call": lambda alert: alert.right == "call",
    "is_put": lambda alert: alert.right == "put",
    "is_sweep": lambda alert: alert.sweep,
    "is_floor": lambda alert: alert.floor,
    "is_multi_leg": lambda alert: alert.multileg,
    "is_ask_side": lambda alert: alert.ask_premium > alert.bid_premium,
    "is_bid_side": lambda alert: alert.bid_premium > alert.ask_premium,
}
_KINDS = ("is_call", "is_put"), ("is_ask_side", "is_bid_side")
"""Of these pairs either mark keeps an alert where both are asked for."""
_ONLY: Mapping[str, Callable[[FlowAlert], bool]] = {
    "all_opening": lambda alert: alert.opening,
    "is_otm": lambda alert: (_distance(alert) or 0) > 0,
    "vol_greater_oi": lambda alert: alert.open_interest is not None and alert.volume > alert.open_interest,
    "size_greater_oi": lambda alert: alert.open_interest is not None and alert.size > alert.open_interest,
}
_TIMES = ("newer_than", "older_than", "date")


def keeps(query: QueryParams, item: FlowAlert | DarkPrint, at: datetime) -> bool:
    """Whether `item`, visible since `at`, is among what is asked for. Raises FlowQueryInvalid."""
    if not _in_time(query, at):
        return False
    if isinstance(item, DarkPrint):
        return _in_bounds(query, _PRINT_NUMBERS, item)
    if not _in_bounds(query, _ALERT_NUMBERS, item):
        return False
    if (rules := query.getlist("rule_name[]") or query.getlist("rule_name")) and item.rule not in rules:
        return False
    return _marked(query, item) and all(only(item) for name, only in _ONLY.items() if _flag(query, name))


def parse_limit(query: QueryParams, *, default: int, most: int) -> int:
    """Raises FlowQueryInvalid. Also checks every other value, so that a wrong one is refused where nothing is found."""
    _check(query)
    text = query.get("limit") or str(default)
    readable = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    if not readable or not 1 <= int(text) <= most:
        raise FlowQueryInvalid(422, f"limit: {text[:16]!r} is not a whole number from 1 to {most}")
    return int(text)


def _check(query: QueryParams) -> None:
    for name in _TIMES:
        if query.get(name):
            _instant(query[name], name)
    for name in {*_ALERT_NUMBERS, *_PRINT_NUMBERS}:
        for bound in (f"min_{name}", f"max_{name}"):
            if query.get(bound):
                _number(query[bound], bound)
    for name in (*_MARKS, *_ONLY):
        _flag(query, name)


def _marked(query: QueryParams, alert: FlowAlert) -> bool:
    """Call or put, ask or bid side: asked for one of a pair means it alone, for both or none means either."""
    paired = {name for pair in _KINDS for name in pair}
    for pair in _KINDS:
        # Unusual Whales' default is true for each: only an explicit false takes something away.
        allowed = [name for name in pair if query.get(name) is None or _flag(query, name)]
        if any(query.get(name) is not None and _flag(query, name) for name in pair):
            allowed = [name for name in pair if query.get(name) is not None and _flag(query, name)]
        if len(allowed) < len(pair) and not any(_MARKS[name](alert) for name in allowed):
            return False
    return all(
        _MARKS[name](alert) == _flag(query, name)
        for name in _MARKS
        if name not in paired and query.get(name) is not None
    )


def _in_bounds(query: QueryParams, numbers: Mapping[str, Callable[..., Number]], item: object) -> bool:
    for name, value_of in numbers.items():
        least, most = query.get(f"min_{name}"), query.get(f"max_{name}")
        if not least and not most:
            continue
        value = value_of(item)
        if value is None or (least and value < _number(least, f"min_{name}")):
            return False
        if most and value > _number(most, f"max_{name}"):
            return False
    return True


def _in_time(query: QueryParams, at: datetime) -> bool:
    if query.get("newer_than") and at <= _instant(query["newer_than"], "newer_than"):
        return False
    if query.get("older_than") and at >= _instant(query["older_than"], "older_than"):
        return False
    return not query.get("date") or new_york_day(at) == _instant(query["date"], "date").date()


def _distance(alert: FlowAlert) -> Decimal | None:
    """How far out of the money, as a part of the underlying's price."""
    if alert.underlying_price is None:
        return None
    away = (alert.strike - alert.underlying_price) / alert.underlying_price
    return away if alert.right == "call" else -away


def _number(text: str, name: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise FlowQueryInvalid(422, f"{name}: {text[:32]!r} is not a number")
    return found


def _flag(query: QueryParams, name: str) -> bool:
    text = query.get(name)
    if text is None:
        return False
    if text.lower() not in ("true", "false"):
        raise FlowQueryInvalid(422, f"{name}: {text[:16]!r} is neither true nor false")
    return text.lower() == "true"


def _instant(text: str, name: str) -> datetime:
    """A day, an instant of ISO 8601, or seconds or milliseconds since 1970."""
    try:
        if text.isascii() and text.isdigit():
            number = int(text)
            return datetime.fromtimestamp(number / 1_000 if number > 10**11 else number, UTC)
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except (ValueError, OverflowError, OSError):
        raise FlowQueryInvalid(422, f"{name}: {text[:32]!r} is neither a day nor an instant") from None
    if len(text) == len(date.min.isoformat()):
        return found.replace(tzinfo=NEW_YORK)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
