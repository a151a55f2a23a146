"""Many backtests on several processes: what each of many settings comes to."""

import multiprocessing
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast_exchange.recording import RecordingInvalid
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.settings import Settings
from holdfast_simulation.backtest.run import BacktestFailed, open_recording, run
from holdfast_simulation.backtest.summary import figures_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one of them came to."""

    equity: str
    orders: int
    fills: int
    figures: dict[str, Any]


def try_all(tried: Sequence[Settings], *, jobs: int) -> Generator[tuple[int, Tried | str], None, None]:
    """Runs each; gives its place and what it came to as they end, or why it cannot be believed."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, len(tried))) as pool:
        yield from pool.imap_unordered(_try, enumerate(tried))


def _try(numbered: tuple[int, Settings]) -> tuple[int, Tried | str]:
    place, settings = numbered
    try:
        outcome = run(settings, open_recording(settings))
    except (BacktestFailed, RecordingInvalid, AskPerson) as error:
        return place, str(error)
    if outcome.verdict.discrepancies:
        return place, f"the ledger and the venue differ: {outcome.verdict.discrepancies[0].kind}"
    return place, Tried(
        equity=format(outcome.exchange.equity(), "f"),
        orders=len(outcome.ledger.intents),
        fills=len(outcome.ledger.fills),
        figures=figures_of(settings, outcome),
    )
