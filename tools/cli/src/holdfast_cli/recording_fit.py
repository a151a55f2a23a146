"""Whether the strategies of a configuration can trade what a folder holds, told from the names of its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast_runtime.ports.venue import Timeframe
from holdfast_signal.strategy import StrategyMaker

FINE = ("bars_1s", "bars_1m")
COARSE = ("bars_1h", "bars_1d")
PAIRS = "crypto_"


@dataclass(frozen=True, slots=True)
class Fit:
    """`refusal`: why nothing would trade, empty where something can; `notes`: what will not, a sentence each."""

    refusal: str = ""
    notes: tuple[str, ...] = ()


def fit(folder: Path, makers: Sequence[StrategyMaker]) -> Fit:
    """Strategies on minute bars need seconds or minutes; those on daily bars any recording."""
    if not folder.is_dir():
        return Fit(f"--recording {folder}: there is no such folder")
    names = [file.name.removeprefix(PAIRS) for file in folder.glob("*.parquet")]
    if not any(name.startswith((*FINE, *COARSE)) for name in names):
        shown = ", ".join(f"{prefix}*.parquet" for prefix in (*FINE, *COARSE))
        return Fit(f"--recording {folder}: no file of bars: {shown}, or the same after {PAIRS} (docs/recordings.md)")
    if any(name.startswith(FINE) for name in names):
        return Fit()
    idle = [maker.id for maker in makers if maker.kind.timeframe is not Timeframe.DAY]
    if not idle:
        return Fit()
    if len(idle) == len(makers):
        return Fit(
            f"--recording {folder} holds hours or days only, and every strategy of the configuration "
            f"({', '.join(idle)}) needs minutes: nothing would trade. Add one on daily bars (etf_rotation)"
        )
    return Fit(
        notes=(f"the recording holds hours or days only: strategy {', '.join(idle)} needs minutes, will not trade",)
    )
