"""The strategy in docs/strategies.md works as it stands there, in at most thirty lines of code."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from holdfast_core.sessions import xnys
from holdfast_runtime.settings import StrategySettings
from holdfast_signal.runners import MinuteRunner
from holdfast_signal.strategy import Desire, InvalidStrategy, Strategy, Wish, installed, makers_of, prepare

TEXT = (Path(__file__).parents[3] / "docs/strategies.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.S)
    assert found is not None
    return found[1]


def example() -> type[Strategy]:
    namespace: dict[str, object] = {"__name__": "example"}
    exec(compile(block("python"), "docs/strategies.md", "exec"), namespace)
    found = namespace["Breakout"]
    assert isinstance(found, type)
    assert issubclass(found, Strategy)
    return found


def test_the_example_is_at_most_thirty_lines():
    assert sum(bool(line.strip()) for line in block("python").splitlines()) <= 30


def test_the_example_trades(bars_of):
    settings = StrategySettings.model_validate(yaml.safe_load(block("yaml"))["strategies"][0])
    maker = prepare(
        example(), id=settings.id, book=settings.book, symbols=settings.symbols, stop_fraction=settings.stop_fraction,
        parameters=settings.parameters | {"minutes": 3},
    )  # fmt: skip
    bars = bars_of("SPY", date(2013, 10, 7), [100, 101, 100, 102, 103, 101, 99])
    runner = MinuteRunner(maker, xnys(), grace=timedelta(seconds=5))
    drafts = runner.rebuild(bars, datetime(2013, 10, 8, tzinfo=UTC))
    assert [draft.desires[0].wish.value for draft in drafts] == ["ENTER_LONG", "EXIT_LONG"]
    assert drafts[0].strategy.stop_fraction == Decimal("0.03")


def maker_below(heading: str):
    text = re.search(r"```yaml\n(.*?)```", TEXT[TEXT.index(f"## {heading}\n") :], re.S)
    assert text is not None
    (maker,) = makers_of([StrategySettings.model_validate(each) for each in yaml.safe_load(text[1])["strategies"]])
    return maker


def test_the_times_in_the_docs_are_a_configuration():
    maker = maker_below("Bought and sold by the clock")
    assert maker.schedule is not None
    assert [each.symbol for each in maker.make().on_buy_time()] == ["SPY", "BAC"]


def test_the_portfolio_in_the_docs_is_a_configuration():
    """SY-2: what is to be sold is wished for beside what is to be bought, of each symbol that was spoken of."""
    strategy = maker_below("A portfolio that is rebalanced").make()
    assert list(strategy.members) == ["trend"]
    assert {each.symbol for each in strategy.on_buy_time()} == {"BAC", "AIG"}
    for symbol in ("SPY", "IBM"):
        strategy.on_member("trend", Desire(symbol=symbol, wish=Wish.ENTER_LONG))
    wished = list(strategy.on_buy_time())
    targets = {each.symbol: each.target_weight for each in wished}
    assert targets == {
        "SPY": Decimal("0.15"), "IBM": Decimal("0.11"), "BAC": Decimal("0.08"), "AIG": Decimal("0.16"),
    }  # fmt: skip
    assert {each.wish.value for each in wished} == {"ENTER_LONG", "REDUCE_LONG"}


def test_the_strategies_that_come_with_it_are_found_by_name():
    assert installed("sma_crossover").__name__ == "SmaCrossover"
    assert installed("etf_rotation").__name__ == "EtfRotation"
    assert installed("timed").__name__ == "Timed"


def test_a_strategy_that_is_not_installed_is_refused_and_the_others_named():
    with pytest.raises(
        InvalidStrategy, match="'momentum' is not installed; there are etf_rotation, portfolio, sma_crossover, timed"
    ):
        installed("momentum")
