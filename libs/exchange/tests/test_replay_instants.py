"""The instants of a replay: regular sessions minute by minute, jumps over the rest (TS-3)."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast_exchange import recording
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.recording import Recording, RecordingInvalid
from holdfast_exchange.replay import Replay, plan


@pytest.fixture(scope="module")
def recorded() -> Recording:
    return recording.load(default_folder_of("equity"), symbols=("SPY",))


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2013, 10, day, hour, minute, tzinfo=UTC)


def walk(replay: Replay) -> list[datetime]:
    instants = [replay.begin]
    while (following := replay.after(instants[-1])) is not None:
        instants.append(following.at)
    return instants


def test_a_day_runs_from_the_open_to_the_close_with_one_minute_of_lead(recorded: Recording) -> None:
    replay = plan(recorded, start="2013-10-08", end="2013-10-08")
    instants = walk(replay)
    assert instants[:3] == [utc(8, 13, 29), utc(8, 13, 30), utc(8, 13, 31)]
    assert instants[-1] == utc(8, 20)
    assert len(instants) == 1 + 391
    first, second = replay.at(utc(8, 13, 29)), replay.at(utc(8, 13, 30))
    assert first is not None
    assert second is not None
    assert (first.data, second.data) == (False, True)


def test_the_night_is_jumped_over(recorded: Recording) -> None:
    replay = plan(recorded)
    following = replay.after(utc(7, 20))
    assert following is not None
    assert following.at == utc(8, 13, 29)
    assert replay.begin == utc(7, 13, 29), "the recording's own week begins on Monday"
    assert replay.end == utc(11, 20)


def test_it_may_begin_and_end_within_a_session(recorded: Recording) -> None:
    replay = plan(recorded, start="2013-10-08T14:00:00Z", end="2013-10-08T14:10:00+00:00")
    assert (replay.begin, replay.end) == (utc(8, 13, 59), utc(8, 14, 10))
    assert replay.after(utc(8, 14) + timedelta(seconds=30)) == replay.at(utc(8, 14, 1))


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("yesterday", "", "neither a day nor an instant"),
        ("2013-10-08T14:00:00", "", "no time zone"),
        ("2013-10-09", "2013-10-08", "before it starts"),
        ("2013-10-12", "2013-10-13", "replay.start: 2013-10-12.* is after all that is recorded: .* to 2013-10-11"),
        ("2020-01-02", "", "replay.start: 2020-01-02.* is after all that is recorded"),
        ("", "2001-01-03", "replay.end: 2001-01-03.* is before all that is recorded"),
    ],
)
def test_a_window_that_cannot_be_replayed_is_refused_in_a_sentence(
    recorded: Recording, start: str, end: str, message: str
) -> None:
    with pytest.raises(RecordingInvalid, match=message):
        plan(recorded, start=start, end=end)
