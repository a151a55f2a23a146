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
