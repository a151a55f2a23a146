"""Commands that change how the venue behaves towards orders."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from holdfast_exchange.holds import EVERYTHING, Step


@dataclass(frozen=True, slots=True)
class Hold:
    """From now on the venue takes `secs` seconds of market time over a step with `symbol`; zero: none."""

    at: datetime
    step: Step
    secs: Decimal
    symbol: str = EVERYTHING


@dataclass(frozen=True, slots=True)
class RejectReplacement:
    """The replacement that is on its way for `order_id` is rejected after all, though its PATCH was answered well."""

    at: datetime
    order_id: str
