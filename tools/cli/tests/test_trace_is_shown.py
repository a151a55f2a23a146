"""`holdfast trace` on recorded files: the tree of one signal, with times, and nothing of other signals (TL-9)."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from holdfast_cli.trace_view import TraceNotFound, show
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import traces

ORDER = "hf-paper-sma-1"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """One cycle of two signals, through two services; the order of the first one was refused by the venue."""
    settings = Settings(state_dir=tmp_path)
    traces.setup("signal", settings, {})
    with traces.span("signal.cycle", cycle_id="c1"):
        with traces.span("signal.made", signal_id="c1.SPY", symbol="SPY") as spy:
            context = spy.traceparent
        with traces.span("signal.made", signal_id="c1.IBM", symbol="IBM"):
            pass
    assert traces.shutdown(3.0)
    traces.setup("execution", settings, {})
    with traces.span("execution.send", parent=context, client_order_id=ORDER), pytest.raises(ValueError, match="no"):  # noqa: SIM117
        with traces.span("venue.post"):
            raise ValueError("no [/such] order")
    assert traces.shutdown(3.0)
    return tmp_path


def shown(folder: Path, subject: str) -> str:
    out = StringIO()
    show(folder, subject, Console(file=out, width=200))
    return out.getvalue()


@pytest.mark.parametrize("subject", ["c1.SPY", ORDER])
def test_the_way_of_one_signal_is_shown_as_a_tree(recorded: Path, subject: str) -> None:
    lines = shown(recorded, subject).splitlines()
    names = ("signal signal.cycle", "signal signal.made", "execution execution.send", "execution venue.post")
    at = [next(n for n, line in enumerate(lines) if name in line) for name in names]
    assert at == sorted(at)
    indents = [lines[n].index(name) for n, name in zip(at, names, strict=True)]
    assert indents == sorted(set(indents)), "each step stands below the one that caused it"
    assert " ms" in lines[at[0]]
    assert "signal_id=c1.SPY" in lines[at[1]]
    assert "c1.IBM" not in "\n".join(lines)


def test_what_failed_is_told_as_it_was_said(recorded: Path) -> None:
    """Nothing in it is taken for markup."""
    assert "no [/such] order" in shown(recorded, "c1.SPY")


def test_a_whole_trace_is_shown_by_its_own_id(recorded: Path) -> None:
    head = shown(recorded, "c1.SPY").splitlines()[0]
    whole = shown(recorded, head.split()[1])
    assert "c1.SPY" in whole
    assert "c1.IBM" in whole


def test_an_id_that_nobody_carries_says_which_ids_there_are(recorded: Path) -> None:
    with pytest.raises(TraceNotFound, match="a signal id, a client order id, a broker order id or a trace id"):
        shown(recorded, "nothing")
    with pytest.raises(TraceNotFound):
        shown(recorded / "nowhere", "c1.SPY")


def test_a_line_torn_by_a_crash_is_passed_over_and_counted(recorded: Path) -> None:
    (file, *_) = sorted((recorded / "traces").glob("signal*.jsonl"))
    with file.open("a") as torn:
        torn.write('{"resourceSpans": [{"c1.SPY"\n')
    text = shown(recorded, "c1.SPY")
    assert "signal.made" in text
