"""Several strategies as one portfolio with one target for each symbol, rebalanced at its buy times (SY-2).

target(symbol) = sum over the sleeves of share x weight, where the sleeve's strategy is long in the symbol or it has
none.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import Field

from holdfast_core.portfolio import Sleeve, consolidated
from holdfast_runtime.ports.venue import Timeframe
from holdfast_runtime.section import Section
from holdfast_signal.strategy import (
    Desire,
    InvalidStrategy,
    Strategy,
    StrategyMaker,
    StrategyParameters,
    Wish,
    installed,
    prepare,
)


class SleeveParameters(Section):
    """One of the strategies that share the portfolio."""

    share: Annotated[Decimal, Field(gt=0, le=1)] = Field(description="Its part of the portfolio.")
    weights: dict[str, Annotated[Decimal, Field(ge=-1, le=1)]] = Field(
        min_length=1, description="By symbol, of its part; a negative one is set against what the others want."
    )
    kind: str = Field(
        default="", description="Of a strategy on minute bars: a weight counts while it is long. Empty: always."
    )
    parameters: dict[str, Any] = Field(default_factory=dict, description="Of that kind.")


class PortfolioParameters(StrategyParameters):
    """Whose targets are followed."""

    sleeves: dict[str, SleeveParameters] = Field(min_length=1, max_length=64)


class Portfolio(Strategy):
    """At each buy time: every symbol reduced to its target, and what is wanted bought up to it.

    A symbol of the strategy that no sleeve names has the target zero: it is sold. One that a member weighs and has
    wished nothing of in this session has no target yet, and is left as it is: silence is no wish to sell.
    """

    Parameters = PortfolioParameters
    parameters: PortfolioParameters
    timeframe: ClassVar[Timeframe | None] = None

    def __init__(self, symbols: tuple[str, ...], parameters: PortfolioParameters) -> None:
        super().__init__(symbols, parameters)
        if (shares := sum(each.share for each in parameters.sleeves.values())) > 1:
            raise ValueError(f"parameters.sleeves: shares add up to {shares}; allowed: 1 at most")
        for name, each in parameters.sleeves.items():
            if unknown := sorted(each.weights.keys() - set(symbols)):
                raise ValueError(f"parameters.sleeves.{name}.weights: {', '.join(unknown)} is not among its symbols")
            if (total := sum(weight for weight in each.weights.values() if weight > 0)) > 1:
                raise ValueError(f"parameters.sleeves.{name}.weights: they add up to {total}; allowed: 1 at most")
            if each.parameters and not each.kind:
                raise ValueError(
                    f"parameters.sleeves.{name}.parameters: of no kind; needed: parameters.sleeves.{name}.kind"
                )
        self._members = {name: _member(name, each) for name, each in parameters.sleeves.items() if each.kind}
        self._long: dict[tuple[str, str], bool] = {}

    @property
    def members(self) -> Mapping[str, StrategyMaker]:
        return self._members

    @property
    def data_symbols(self) -> tuple[str, ...]:
        seen = {symbol for each in self._members.values() for symbol in each.make().data_symbols}
        return tuple(sorted({*self.symbols, *seen}))

    @property
    def lookback(self) -> int:
        return max((each.make().lookback for each in self._members.values()), default=1)

    def on_member(self, name: str, desire: Desire) -> None:
        if desire.wish is not Wish.REDUCE_LONG:
            self._long[name, desire.symbol] = desire.wish is Wish.ENTER_LONG

    def on_buy_time(self) -> Iterable[Desire]:
        sleeves = self.parameters.sleeves
        wanted = (
            Sleeve(
                each.share, {symbol: weight for symbol, weight in each.weights.items() if self._counts(name, symbol)}
            )
            for name, each in sleeves.items()
        )
        targets = consolidated(wanted)
        unknown = {
            symbol for name in self._members for symbol in sleeves[name].weights if (name, symbol) not in self._long
        }
        for symbol in self.symbols:
            if symbol in unknown:
                continue
            target = targets.get(symbol, Decimal(0))
            yield Desire(symbol=symbol, wish=Wish.REDUCE_LONG, target_weight=target)
            if target:
                yield Desire(symbol=symbol, wish=Wish.ENTER_LONG, target_weight=target)

    def _counts(self, name: str, symbol: str) -> bool:
        return name not in self._members or self._long.get((name, symbol), False)


def _member(name: str, sleeve: SleeveParameters) -> StrategyMaker:
    """The strategy of a sleeve, its parameters checked. Raises ValueError naming key, value and range."""
    key = f"parameters.sleeves.{name}"
    try:
        kind = installed(sleeve.kind)
        if kind.timeframe is not Timeframe.MINUTE:
            raise ValueError(f"{key}.kind: {sleeve.kind!r} is not allowed; allowed: a strategy on minute bars")
        return prepare(
            kind, id=name, book="equity", symbols=tuple(sleeve.weights), stop_fraction=Decimal(0),
            parameters=sleeve.parameters,
        )  # fmt: skip
    except InvalidStrategy as error:
        raise ValueError(f"{key}: {error}") from error
