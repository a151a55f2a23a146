"""What every fault has: a name, a kind, a scope that means something to it."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast_exchange.faults.scope import Endpoint, Scope


class Area(StrEnum):
    """What a fault is asked about: a request, an answer, a frame of a stream, an order, or a tick of the market."""

    REQUEST = "request"
    ANSWER = "answer"
    FRAME = "frame"
    ORDER = "order"
    TICK = "tick"


CONDITIONS: dict[Area, frozenset[str]] = {
    Area.REQUEST: frozenset({"endpoint", "symbol", "order_kind", "side"}),
    Area.ANSWER: frozenset({"endpoint", "symbol", "order_kind", "side", "event"}),
    Area.FRAME: frozenset({"symbol", "order_kind", "side", "event"}),
    Area.ORDER: frozenset({"symbol", "order_kind", "side"}),
    Area.TICK: frozenset({"symbol"}),
}
"""Which conditions of a scope mean anything there; count, window and chance always do."""


class When(StrEnum):
    """Whether the venue has done what it was asked before the request goes wrong."""

    BEFORE_ACCEPT = "before_accept"
    AFTER_ACCEPT = "after_accept"


MarketSecs = Annotated[float, Field(gt=0, le=86_400)]
Millis = Annotated[float, Field(ge=0, le=120_000)]
When_ = Annotated[When, Field(description="Whether the venue has already done what it was asked.")]


class Fault(BaseModel):
    """What all faults have: a name, a kind, and a scope."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    area: ClassVar[Area]
    needs_symbol: ClassVar[bool] = False
    once: ClassVar[bool] = False
    """True where it fires once unless `scope.at_most` says otherwise."""
    place: ClassVar[Endpoint | None] = None
    """The one endpoint that can go wrong so; None: any."""

    id: str = Field(pattern=r"^[a-z0-9_-]{1,64}$", description="Name of this fault in counters and logs.")
    kind: Any
    scope: Scope = Scope()

    @property
    def at_most(self) -> int | None:
        """How many times it may fire; None: always."""
        return 1 if self.once and self.scope.at_most is None else self.scope.at_most

    @model_validator(mode="after")
    def _scope_fits(self) -> Self:
        known = CONDITIONS[self.area]
        for name in ("endpoint", "symbol", "order_kind", "side", "event"):
            if getattr(self.scope, name) is not None and name not in known:
                allowed = ", ".join([*sorted(known), "nth", "since", "until", "probability", "at_most"])
                raise ValueError(f"scope.{name} means nothing to {self.kind}; allowed in its scope: {allowed}")
        if self.place and self.scope.endpoint and not self.scope.endpoint.includes(self.place):
            raise ValueError(f"scope.endpoint, {self.scope.endpoint}, never meets {self.kind}; allowed: {self.place}")
        if self.needs_symbol and self.scope.symbol is None:
            raise ValueError(f"scope.symbol is missing; {self.kind} happens to one symbol")
        return self
