"""The journal on disk (TS-3)."""

from pathlib import Path

import pytest

from holdfast_papermarket.adapters.journal_file import JournalFile
from holdfast_runtime.errors import AskPerson

RUN = {"run_id": "r1"}


def test_what_was_appended_is_there_after_a_kill(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "j", run=RUN)
    for number in range(3):
        journal.append(f'{{"n":{number}}}')
    assert JournalFile(tmp_path / "j", run=RUN).lines == ['{"n":0}', '{"n":1}', '{"n":2}']


def test_a_torn_last_line_was_never_answered_and_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    JournalFile(path, run=RUN).append("whole")
    with path.open("ab") as file:
        file.write(b'{"op":"adv')
    reopened = JournalFile(path, run=RUN)
    assert reopened.lines == ["whole"]
    reopened.append("next")
    assert JournalFile(path, run=RUN).lines == ["whole", "next"]


def test_a_journal_torn_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"run')
    assert JournalFile(tmp_path / "j", run=RUN).lines == []


def test_a_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    JournalFile(tmp_path / "j", run=RUN)
    with pytest.raises(AskPerson, match="another run"):
        JournalFile(tmp_path / "j", run={"run_id": "r2"})


def test_fresh_begins_anew(tmp_path: Path) -> None:
    JournalFile(tmp_path / "j", run=RUN).append("old")
    assert JournalFile(tmp_path / "j", run={"run_id": ""}, fresh=True).lines == []
