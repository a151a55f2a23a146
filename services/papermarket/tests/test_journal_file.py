"""The journal on disk (TS-3)."""

import errno
import os
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.holds import Step
from holdfast_exchange.market import Market
from holdfast_exchange.replay import plan
from holdfast_papermarket.adapters.journal_file import JournalFile
from holdfast_papermarket.venue import PaperVenue
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


def test_a_line_is_written_to_its_end_however_little_the_disk_takes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalFile(tmp_path / "j", run=RUN)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    journal.append("a long line")
    journal.append("another")
    assert JournalFile(tmp_path / "j", run=RUN).lines == ["a long line", "another"]


def test_after_a_line_that_was_not_written_nothing_follows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalFile(tmp_path / "j", run=RUN)
    journal.append("whole")
    taken: list[bytes] = []
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if taken:
            raise OSError(errno.ENOSPC, "no space left on device")
        taken.append(bytes(data[:4]))
        return write(descriptor, taken[0])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="no space"):
            journal.append("torn in two")
    with pytest.raises(OSError, match="an earlier line"):
        journal.append("there is room again")
    assert JournalFile(tmp_path / "j", run=RUN).lines == ["whole"]


def test_a_venue_whose_journal_cannot_be_written_takes_nothing_more(tmp_path: Path) -> None:
    recording = recordings.load(default_folder_of("equity"))
    replay = plan(recording, start="2013-10-08", end="2013-10-08")
    journal = JournalFile(tmp_path / "j", run=RUN)
    venue = PaperVenue(
        Exchange("r1", Market(recording, replay.begin), ExchangeConfig()), replay, journal, resend_on_subscribe=True
    )
    journal.close()
    with pytest.raises(AskPerson, match="cannot be written"):
        venue.hold(Step.NEW, Decimal(1))
    before = venue.state()
    with pytest.raises(AskPerson, match="cannot be written"):
        venue.hold(Step.NEW, Decimal(2))
    assert venue.state() == before
    assert venue.failure is not None, "the market clock raises it, and the service ends"
