"""Fixtures of the exchange's tests."""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast_exchange.recording import Bar, QuoteBar
from libs.exchange.tests.exchange_floor import OPEN, Floor


@pytest.fixture
def floor() -> Callable[..., Floor]:
    """`floor([bar(…)], [quote(…)], starting_cash=…)`, after the open instant."""

    def made(bars: list[Bar], quotes: list[QuoteBar] | None = None, **config: Any) -> Floor:
        opened = Floor(bars, quotes or [], **config)
        opened.tick(OPEN)
        return opened

    return made
