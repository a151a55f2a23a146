"""Where the shown state comes from, and whether each source can be reached: pages never pass old data off as new."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.domain.equity import EquityCurve
from holdfast_admin.domain.projection import Projection
from holdfast_admin.domain.views import HaltView, ServiceView


@dataclass(frozen=True, slots=True)
class LastPrice:
    """The newest price of one symbol."""

    last: Decimal | None
    at: datetime | None
    halted: bool


@dataclass(slots=True)
class Link:
    """One source. `since`: wall time of the last change; None before the first answer."""

    up: bool = False
    asked: bool = False
    since: datetime | None = None
    why: str = ""

    def answered(self, at: datetime) -> None:
        if not self.up:
            self.up, self.since = True, at
        self.asked, self.why = True, ""

    def failed(self, at: datetime, why: str) -> None:
        if self.up or not self.asked:
            self.up, self.since = False, at
        self.asked, self.why = True, why


@dataclass(slots=True)
class KnownStrategies:
    """Every strategy as execution last told of it."""

    by_name: dict[str, pb.Strategy] = field(default_factory=dict)
    as_of: int | None = None
    """Version of the ledger; None before the first answer."""

    def take(self, found: Iterable[pb.Strategy], version: int) -> None:
        """All of them. An answer that something newer has overtaken is ignored."""
        if self.as_of is None or version >= self.as_of:
            self.by_name, self.as_of = {each.strategy: each for each in found}, version

    def take_one(self, changed: pb.Strategy, version: int) -> None:
        """One that has just been stopped or started."""
        if self.as_of is not None and version >= self.as_of:
            self.by_name[changed.strategy], self.as_of = changed, version


@dataclass(slots=True)
class Sources:
    """Everything known. Written by the readers, read by the pages."""

    projection: Projection = field(default_factory=Projection)
    curve: EquityCurve = field(default_factory=EquityCurve)
    prices: dict[str, LastPrice] = field(default_factory=dict)
    feed_connected: bool = False
    """As signal says of its own feed."""
    execution: Link = field(default_factory=Link)
    signal: Link = field(default_factory=Link)
    bus: Link = field(default_factory=Link)
    holder: pb.GetHolderResponse | None = None
    strategies: KnownStrategies = field(default_factory=KnownStrategies)
    services: dict[str, ServiceView] = field(default_factory=dict)
    verdict_stale_secs: float = 0.0
    """For so long, in monotonic time, the verdict has been too old."""
    own_halts: dict[str, HaltView] = field(default_factory=dict)
    """Halts read from, or written to, the ledger itself that no fact has told of yet."""
