"""What only a service can find wrong ends the stack at once, in one plain sentence, and nothing goes on (CF-3)."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from holdfast_exchange.combining import default_folder_of
from tests.integration.stack import Stack, eventually, running

pytestmark = pytest.mark.stack

PATIENCE_SECS = 90.0
LONG = {"id": "sma", "kind": "sma_crossover", "symbols": ["SPY"], "parameters": {"fast": 5, "slow": 150}}


def ended(stack: Stack) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    code = stack.process.wait(PATIENCE_SECS)
    return code, stack.output_file.read_text()


def pids(stack: Stack) -> list[int]:
    return [int(file.read_text()) for file in (stack.folder / "logs").glob("*.pid")]


def runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def ends_at_once_and_says_why(tmp_path: Path, config: dict[str, Any], sentences: list[str]) -> None:
    with running(tmp_path, "--until-end", "--speed", "max", config=config) as stack:
        code, output = ended(stack)
        assert code == 1
        assert [each for each in sentences if each not in output] == [], output
        assert "Traceback" not in output
        assert "restarting" not in output, "no restart helps, so there was none"
        assert not stack.report_file.exists()
        eventually(lambda: not any(runs(pid) for pid in pids(stack)), "every process has ended")


def test_a_recording_without_a_single_bar_ends_the_stack(tmp_path: Path) -> None:
    """Symbols and days that are not recorded are refused before anything starts; what files hold, papermarket sees."""
    folder = tmp_path / "recording"
    folder.mkdir()
    pl.read_parquet(default_folder_of("equity") / "bars_1m.parquet").clear().write_parquet(folder / "bars_1m.parquet")
    ends_at_once_and_says_why(
        tmp_path,
        {"replay": {"recording": str(folder)}},
        ["papermarket ended with 77", "no bar in it is usable", "holdfast recording check"],
    )


def test_a_strategy_that_looks_back_too_far_ends_the_stack(tmp_path: Path) -> None:
    ends_at_once_and_says_why(
        tmp_path,
        {"strategies": [LONG], "feed": {"warmup_minute_bars": 100}},
        ["signal ended with 78", "strategy sma: looks back", "feed.warmup_minute_bars is 100"],
    )
