"""What only a service can find wrong ends the stack at once, in one plain sentence, and nothing goes on (CF-3)."""

from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("options", "config", "sentences"),
    [
        (
            ("--symbols", "SPY,XYZ"),
            None,
            [
                "papermarket ended with 77",
                "replay.symbols: no bars of XYZ in",
                "recorded are AIG, BAC, IBM, SPY",
            ],
        ),
        (
            ("--from", "2020-01-02", "--to", "2020-01-03"),
            None,
            ["papermarket ended with 77", "nothing is recorded between 2020-01-02", "2013-"],
        ),
        (
            (),
            {"strategies": [LONG], "feed": {"warmup_minute_bars": 100}},
            ["signal ended with 78", "strategy sma: looks back", "feed.warmup_minute_bars is 100"],
        ),
    ],
    ids=("unknown symbol", "nothing recorded", "strategy that looks back too far"),
)
def test_the_stack_ends_at_once_and_says_why(
    tmp_path: Path, options: tuple[str, ...], config: dict[str, Any] | None, sentences: list[str]
) -> None:
    with running(tmp_path, "--until-end", "--speed", "max", *options, config=config) as stack:
        code, output = ended(stack)
        assert code == 1
        assert [each for each in sentences if each not in output] == [], output
        assert "Traceback" not in output
        assert "restarting" not in output, "no restart helps, so there was none"
        assert not stack.report_file.exists()
        eventually(lambda: not any(runs(pid) for pid in pids(stack)), "every process has ended")
