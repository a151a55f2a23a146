"""Bought by the clock: at each buy time of its schedule, whatever prices do (SQ-13). Its sales are execution's."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field

from holdfast_runtime.ports.venue import Timeframe
from holdfast_signal.strategy import Desire, Strategy, StrategyParameters, Wish


class TimedParameters(StrategyParameters):
    """How much of its allocation each symbol gets."""

    target_weight: Annotated[Decimal, Field(gt=0, le=1)] = Decimal(1)


class Timed(Strategy):
    """Asks for every one of its symbols."""

    Parameters = TimedParameters
    parameters: TimedParameters
    timeframe: ClassVar[Timeframe | None] = None

    def on_buy_time(self) -> Iterable[Desire]:
        weight = self.parameters.target_weight
        return [Desire(symbol=symbol, wish=Wish.ENTER_LONG, target_weight=weight) for symbol in self.symbols]
