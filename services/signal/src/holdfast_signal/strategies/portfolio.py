"""Target weights of several strategies as one portfolio, rebalanced at each buy time of its schedule (SY-2)."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field

from holdfast_core.portfolio import Sleeve, consolidated
from holdfast_runtime.ports.venue import Timeframe
from holdfast_runtime.section import Section
from holdfast_signal.strategy import Desire, Strategy, StrategyParameters, Wish


class SleeveParameters(Section):
    """One of the strategies that share the portfolio."""

    share: Annotated[Decimal, Field(gt=0, le=1)] = Field(description="Its part of the portfolio.")
    weights: dict[str, Annotated[Decimal, Field(ge=-1, le=1)]] = Field(
        min_length=1, description="By symbol, of its part; a negative one is set against what the others want."
    )


class PortfolioParameters(StrategyParameters):
    """Whose targets are followed."""

    sleeves: dict[str, SleeveParameters] = Field(min_length=1, max_length=64)


class Portfolio(Strategy):
    """At each buy time: every symbol reduced to its target, and what is wanted bought up to it.

    A symbol of the strategy that no sleeve names has the target zero: it is sold.
    """

    Parameters = PortfolioParameters
    parameters: PortfolioParameters
    timeframe: ClassVar[Timeframe | None] = None

    def __init__(self, symbols: tuple[str, ...], parameters: PortfolioParameters) -> None:
        super().__init__(symbols, parameters)
        sleeves = parameters.sleeves.values()
        if (shares := sum(each.share for each in sleeves)) > 1:
            raise ValueError(f"parameters.sleeves: shares add up to {shares}; allowed: 1 at most")
        for name, each in parameters.sleeves.items():
            if unknown := sorted(each.weights.keys() - set(symbols)):
                raise ValueError(f"parameters.sleeves.{name}.weights: {', '.join(unknown)} is not among its symbols")
            if (total := sum(weight for weight in each.weights.values() if weight > 0)) > 1:
                raise ValueError(f"parameters.sleeves.{name}.weights: they add up to {total}; allowed: 1 at most")
        self._targets = consolidated(Sleeve(each.share, each.weights) for each in sleeves)

    def on_buy_time(self) -> Iterable[Desire]:
        for symbol in self.symbols:
            target = self._targets.get(symbol, Decimal(0))
            yield Desire(symbol=symbol, wish=Wish.REDUCE_LONG, target_weight=target)
            if target:
                yield Desire(symbol=symbol, wish=Wish.ENTER_LONG, target_weight=target)
