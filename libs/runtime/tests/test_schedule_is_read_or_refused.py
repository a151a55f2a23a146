"""Times of a strategy in the configuration: refused with key, value and range (SQ-13, SY-3, CF-3)."""

from datetime import time, timedelta
from pathlib import Path

import pytest

from holdfast_core.schedules import Schedule
from holdfast_runtime.config import InvalidConfiguration, load_settings
from holdfast_runtime.settings import Settings


def load(tmp_path: Path, schedule: str, *, more: str = "", strategy: str = "symbols: [SPY]") -> Settings:
    path = tmp_path / "holdfast.yaml"
    path.write_text(f"{more}\nstrategies:\n  - {{id: clock, kind: timed, {strategy}, schedule: {schedule}}}\n")
    return load_settings(path, {}, None)


def test_times_are_read_as_they_are_written(tmp_path: Path) -> None:
    given = load(tmp_path, "{buy_at: [09:35, 11:00], sell_at: [15:50]}").strategies[0].schedule
    assert given is not None
    assert given.mode == "paper"
    assert given.of("equity") == Schedule(
        "equity", (time(9, 35), time(11)), (time(15, 50),), timedelta(minutes=5)
    )  # fmt: skip
    assert Settings().strategies == ()


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("{buy_at: ['9:35']}", "schedule.buy_at.0: '9:35' is not allowed; allowed: text of the form"),
        ("{buy_at: [575]}", "schedule.buy_at.0: 575 is not allowed"),
        ("{buy_at: [09:29]}", "schedule.buy_at: 09:29 is not allowed; allowed: 09:30 up to 15:59 in New York"),
        ("{sell_at: [16:00]}", "schedule.sell_at: 16:00 is not allowed; allowed: 09:30 up to 15:59 in New York"),
        ("{sell_at: [15:50, 15:40]}", "schedule.sell_at: 15:50, 15:40 is not allowed; allowed: times in ascending"),
        (
            "{buy_at: [15:50], sell_at: [15:50]}",
            "schedule.buy_at: 15:50 is not allowed; allowed: before the day's last",
        ),
        ("{}", "schedule.sell_at: nothing is given; allowed: at least one time"),
        ("{sell_at: [15:50], grace_secs: 0}", "schedule.grace_secs: 0 is not allowed; allowed: a number above 0 up to"),
        ("{sell_at: [15:50], mode: real}", "schedule.mode: 'real' is not allowed; allowed: one of paper, live"),
    ],
)
def test_what_no_session_can_follow_is_refused(tmp_path: Path, schedule: str, told: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        load(tmp_path, schedule)
    assert told in str(refused.value)


def test_coins_have_the_whole_day(tmp_path: Path) -> None:
    assert load(tmp_path, "{sell_at: [23:59]}", strategy="book: crypto, symbols: [BTC/USD]").strategies


def test_times_meant_for_a_paper_account_do_not_start_on_a_live_one(tmp_path: Path) -> None:
    """SY-3: paper is the default, and live has to be said."""
    live = "account: {live: true}"
    with pytest.raises(InvalidConfiguration) as refused:
        load(tmp_path, "{sell_at: [15:50]}", more=live)
    assert "clock: schedule.mode: paper is not allowed; allowed: live" in str(refused.value)
    assert load(tmp_path, "{sell_at: [15:50], mode: live}", more=live).account.live
