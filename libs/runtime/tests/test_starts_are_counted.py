"""FP-6.2, PR-1: the crashes of a service and their causes are kept over its restarts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdfast_runtime.secrets import Secret
from holdfast_runtime.starts import KEPT, WITHOUT_A_WORD, Starts

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)


def life(folder: Path, minute: int, cause: str | None = None) -> Starts:
    """One start; `cause`: of its end; None: it is killed."""
    starts = Starts(folder, "gate")
    at = NOW + timedelta(minutes=minute)
    starts.began(at)
    if cause is not None:
        starts.ended(at + timedelta(seconds=30), cause)
    return starts


def test_a_process_that_was_killed_is_counted_by_the_next_one(tmp_path: Path) -> None:
    assert life(tmp_path, 0).crashes(since=LONG_AGO) == []
    (crash,) = life(tmp_path, 1).crashes(since=LONG_AGO)
    assert (crash.began, crash.ended, crash.cause) == (NOW, None, WITHOUT_A_WORD)


def test_one_that_was_told_to_stop_has_not_crashed(tmp_path: Path) -> None:
    life(tmp_path, 0, cause="")
    assert life(tmp_path, 1).crashes(since=LONG_AGO) == []


def test_the_cause_is_kept_without_any_secret(tmp_path: Path) -> None:
    """SE-2."""
    life(tmp_path, 0, cause=f"ValueError: cannot log in with {Secret('hunter2-hunter2').reveal()}")
    (crash,) = life(tmp_path, 1).crashes(since=LONG_AGO)
    assert crash.cause == "ValueError: cannot log in with ***"


def test_old_crashes_are_no_longer_recent_and_few_are_kept(tmp_path: Path) -> None:
    for minute in range(KEPT + 20):
        starts = life(tmp_path, minute)
    assert len(starts.crashes(since=LONG_AGO)) == KEPT - 1
    now = NOW + timedelta(minutes=KEPT + 19)
    assert len(starts.recent(now, timedelta(minutes=10))) == 11


def test_a_file_that_is_torn_or_cannot_be_written_costs_the_record_and_not_the_service(tmp_path: Path) -> None:
    life(tmp_path, 0)
    file = tmp_path / "starts" / "gate.json"
    file.write_text('[{"began": ')
    assert life(tmp_path, 1).crashes(since=LONG_AGO) == []
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert life(blocked, 2).crashes(since=LONG_AGO) == []
