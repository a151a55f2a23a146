"""`holdfast claim` takes a position over through admin's own API (invariant 14)."""

import getpass

from click.testing import Result
from typer.testing import CliRunner

from holdfast_cli.command_line import EXIT_NOT_READY, EXIT_USAGE
from holdfast_cli.main import app
from tools.cli.tests.test_strategy_commands import Run, run

__all__ = ["run"]


def claim(run: Run, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["claim", *arguments, "--state-dir", str(run.state_dir)])


def test_a_claim_says_both_sides_and_what_was_booked(run: Run) -> None:
    result = claim(run, "ibm", "--strategy", "sma", "--note", "bought by hand")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "IBM: ledger 0, broker 7", "7 at 180.5 for sma, 0 dollars", "booked as claim.IBM.9",
    ]  # fmt: skip
    (request,) = run.admin.execution.claims
    assert (request.symbol, request.strategy, request.note) == ("IBM", "sma", "bought by hand")
    assert [(e.who, e.action, e.result) for e in run.admin.audit.newest()] == [
        (getpass.getuser(), "claim", "ok"), (getpass.getuser(), "claim", "requested"),
    ]  # fmt: skip


def test_a_dry_run_only_shows_what_would_be_booked(run: Run) -> None:
    result = claim(run, "IBM", "--strategy", "sma", "--note", "bought by hand", "--dry-run")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "nothing was booked")
    assert [request.dry_run for request in run.admin.execution.claims] == [True]
    assert run.admin.audit.newest() == []


def test_a_refusal_is_a_sentence(run: Run) -> None:
    result = claim(run, "SPY", "--note", "liquidated")
    assert (result.exit_code, result.output) == (EXIT_NOT_READY, "holdfast: nothing to claim\n")


def test_a_claim_needs_a_note(run: Run) -> None:
    assert claim(run, "IBM", "--strategy", "sma").exit_code == EXIT_USAGE
    result = claim(run, "IBM", "--strategy", "sma", "--note", "x")
    assert result.exit_code == EXIT_USAGE
    assert result.output.startswith("holdfast: note:")
    assert run.admin.execution.claims == []
