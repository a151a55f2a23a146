"""The kinds of values in Alpaca's answers, and how an answer is held against them.

Validation is strict: a number where a decimal string is published is a fault, as is a string where a number is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
IDENTITY = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def _instant(text: str) -> str:
    if INSTANT.match(text) is None:
        raise ValueError("no RFC 3339 instant with its offset")
    datetime.fromisoformat(text)
    return text


def _day(text: str) -> str:
    if len(text) != len("2013-10-07"):
        raise ValueError("no day as YYYY-MM-DD")
    date.fromisoformat(text)
    return text


def _day_or_instant(text: str) -> str:
    return _instant(text) if "T" in text else _day(text)


DecimalText = Annotated[
    str, StringConstraints(pattern=r"^-?\d+(\.\d+)?$"), Field(json_schema_extra={"format": "decimal"})
]
"""A decimal number in a string, without exponent."""
Instant = Annotated[str, AfterValidator(_instant), Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, up to nanoseconds."""
Day = Annotated[str, AfterValidator(_day), Field(json_schema_extra={"format": "date"})]
DayOrInstant = Annotated[str, AfterValidator(_day_or_instant), Field(json_schema_extra={"format": "date-time"})]
"""Published as an instant, sent as a day."""
Identity = Annotated[str, StringConstraints(pattern=IDENTITY), Field(json_schema_extra={"format": "uuid"})]
HourMinute = Annotated[str, StringConstraints(pattern=r"^\d\d:\d\d$")]
PlainHourMinute = Annotated[str, StringConstraints(pattern=r"^\d{4}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]

OrderSide = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
OrderClass = Literal["simple", "bracket", "oco", "oto", "mleg", ""]
"""Empty for a simple order in some answers, as the SDK knows."""
TimeInForce = Literal["day", "gtc", "opg", "cls", "ioc", "fok"]
PositionIntent = Literal["buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"]
OrderStatus = Literal[
    "new", "partially_filled", "filled", "done_for_day", "canceled", "expired", "replaced", "pending_cancel",
    "pending_replace", "accepted", "pending_new", "accepted_for_bidding", "stopped", "rejected", "suspended",
    "calculated", "held",
]  # fmt: skip
AssetClass = Literal["us_equity", "us_option", "crypto", "ipo"]
Exchange = Literal["AMEX", "ARCA", "BATS", "NYSE", "NASDAQ", "NYSEARCA", "OTC", "CRYPTO", ""]
"""CRYPTO and the empty one are the SDK's."""
AccountStatus = Literal[
    "INACTIVE", "PAPER_ONLY", "ONBOARDING", "SUBMISSION_FAILED", "SUBMITTED", "ACCOUNT_UPDATED", "APPROVAL_PENDING",
    "ACTIVE", "REJECTED", "ACCOUNT_CLOSED", "APPROVED", "ACCOUNT_CLOSED_PENDING", "ACTION_REQUIRED", "LIMITED",
]  # fmt: skip
NonTradeActivityType = Literal[
    "TRANS", "MISC", "ACATC", "ACATS", "CFEE", "CGD", "CIL", "CSD", "CSW", "DIV", "DIVCGL", "DIVCGS", "DIVFEE", "DIVFT",
    "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX", "FEE", "INT", "INTNRA", "INTTW", "JNL", "JNLC", "JNLS", "MA", "NC", "OPASN",
    "OPCA", "OPCSH", "OPEXC", "OPEXP", "OPTRD", "PTC", "PTR", "REORG", "SPIN", "SPLIT", "FOPT",
]  # fmt: skip
TradeEvent = Literal[
    "accepted", "new", "fill", "partial_fill", "canceled", "expired", "rejected", "replaced", "restated", "pending_new",
    "pending_cancel", "pending_replace", "done_for_day", "stopped", "suspended", "calculated", "order_cancel_rejected",
    "order_replace_rejected",
]  # fmt: skip
Tape = Literal["A", "B", "C", "N", "O"]
Sort = Literal["asc", "desc"]


class Published(BaseModel):
    """An object of an answer. Fields without a default are required; further ones are allowed, but reported."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found when an answer was held against its description."""

    faults: list[str] = field(default_factory=list)
    """Required fields that lack, wrong types, formats and words."""
    unknown: frozenset[str] = frozenset()
    """Fields that are not published, as `Order.subtag`."""
    absent: frozenset[str] = frozenset()
    """Published but optional fields that no object of the answer has."""


def examine(kind: Any, answer: bytes | str) -> Findings:
    """Holds the JSON text of an answer against the kind that is published for it."""
    try:
        found = TypeAdapter(kind).validate_json(answer, strict=True)
    except ValidationError as error:
        return Findings([f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()])
    unknown: set[str] = set()
    seen: dict[type[Published], set[str]] = {}
    for each in _objects(found):
        name = type(each).__name__
        unknown |= {f"{name}.{extra}" for extra in each.model_extra or {}}
        seen.setdefault(type(each), set()).update(each.model_fields_set)
    absent = {
        f"{kind_.__name__}.{info.alias or name}"
        for kind_, present in seen.items()
        for name, info in kind_.model_fields.items()
        if name not in present
    }
    return Findings([], frozenset(unknown), frozenset(absent))


def _objects(value: object) -> Iterator[Published]:
    if isinstance(value, Published):
        yield value
        for name in type(value).model_fields:
            yield from _objects(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from _objects(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _objects(each)
