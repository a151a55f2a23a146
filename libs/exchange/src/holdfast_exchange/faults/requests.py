"""Faults of requests and of what is answered. A docstring is what the documentation says of a kind."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from holdfast_exchange.faults.base import Area, Fault, Millis, When, When_
from holdfast_exchange.faults.scope import Endpoint


class Shape(StrEnum):
    FIXED = "fixed"
    RANDOM = "random"
    HEAVY_TAIL = "heavy_tail"


class Latency(Fault):
    """The answer is late: by a fixed time, a random one, or one with a heavy tail."""

    area = Area.REQUEST
    kind: Literal["latency"]
    shape: Shape = Field(default=Shape.FIXED, description="fixed: `ms`; random: `ms` to `max_ms`; heavy_tail: Pareto.")
    ms: Millis = Field(default=200.0, description="Wall milliseconds: the time, or the least of it.")
    max_ms: Millis = Field(default=5_000.0, description="The most of a random time.")
    exponent: float = Field(default=1.5, gt=0, le=10, description="Of the heavy tail: smaller is heavier.")
    when: When_ = When.BEFORE_ACCEPT

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shape is not Shape.FIXED and self.max_ms < self.ms:
            raise ValueError(f"max_ms, {self.max_ms:g}, is below ms, {self.ms:g}")
        return self


class NoAnswer(Fault):
    """No answer comes: the client runs into its timeout, before or after the order was accepted."""

    area = Area.REQUEST
    kind: Literal["no_answer"]
    when: When_ = When.BEFORE_ACCEPT
    hold_secs: float = Field(default=30.0, gt=0, le=300, description="Wall seconds until the venue hangs up.")


class LateAccept(Fault):
    """A submitted order gets no answer and arrives later, when nobody reckons with it any more; refused then, it is
    gone without a word."""

    area = Area.REQUEST
    place = Endpoint.ORDERS_SUBMIT
    kind: Literal["late_accept"]
    late_secs: float = Field(default=30.0, gt=0, le=60, description="Market seconds until it arrives.")
    hold_secs: float = Field(default=30.0, gt=0, le=300, description="Wall seconds until the venue hangs up.")


class HttpError(Fault):
    """An HTTP error: 401, 403, 422, 429 with headers, or 500, 502, 503, 504 before or after the order's acceptance."""

    area = Area.REQUEST
    kind: Literal["http_error"]
    status: Literal[401, 403, 422, 429, 500, 502, 503, 504]
    when: When_ = When.BEFORE_ACCEPT
    code: int | None = Field(default=None, ge=0, description="Alpaca's code in the body; null: the usual one.")
    message: str = Field(default="", max_length=500, description="In the body; empty: the usual words.")
    retry_after_secs: int = Field(default=1, ge=0, le=3_600, description="Of 429 and 503: Retry-After and the reset.")

    @model_validator(mode="after")
    def _refusals_come_first(self) -> Self:
        if self.status < 500 and self.when is When.AFTER_ACCEPT:
            raise ValueError(f"status {self.status} refuses: when must be before_accept")
        return self


class ErrorBody(Fault):
    """200 with an error in the body, before or after the order's acceptance."""

    area = Area.REQUEST
    kind: Literal["error_body"]
    when: When_ = When.BEFORE_ACCEPT
    message: str = Field(default="internal server error occurred", max_length=500)


class OtherOrderBody(Fault):
    """200 with the body of another order than the one that was accepted."""

    area = Area.REQUEST
    place = Endpoint.ORDERS_SUBMIT
    kind: Literal["other_order_body"]


class HtmlBody(Fault):
    """A page of HTML in the place of JSON, as a gateway sends it."""

    area = Area.REQUEST
    kind: Literal["html_body"]
    when: When_ = When.AFTER_ACCEPT
    status: Literal[200, 403, 500, 502, 503, 504] = 200


class TruncatedBody(Fault):
    """The answer ends in the middle."""

    area = Area.REQUEST
    kind: Literal["truncated_body"]
    keep: float = Field(default=0.5, ge=0, lt=1, description="Part of the body that arrives.")


class ConnectionReset(Fault):
    """The connection is reset before or after the order's acceptance."""

    area = Area.REQUEST
    kind: Literal["connection_reset"]
    when: When_ = When.BEFORE_ACCEPT


class CancelRefused(Fault):
    """A cancel is refused although the order rests."""

    area = Area.REQUEST
    place = Endpoint.ORDERS_CANCEL
    kind: Literal["cancel_refused"]


# Answers and updates alike


class UnknownStatus(Fault):
    """Orders in answers and updates have a status that no client knows."""

    area = Area.ANSWER
    kind: Literal["unknown_status"]
    status: str = Field(default="pending_review", pattern=r"^[a-z_]{1,40}$")
    event: str = Field(default="", pattern=r"^[a-z_]{0,40}$", description="Also the update's event; empty: as it is.")


class UnknownFields(Fault):
    """Answers and updates have fields that no description knows, of every type."""

    area = Area.ANSWER
    kind: Literal["unknown_fields"]
