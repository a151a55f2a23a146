"""When a strategy trades by the clock (SQ-13, SY-3)."""

from datetime import time, timedelta
from typing import Annotated, Literal

from pydantic import Field

from holdfast_core.schedules import HOURS, Schedule
from holdfast_runtime.section import Section

TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
MAX_TIMES = 16


class ScheduleSettings(Section):
    """Times of day at which a strategy buys and sells, in the time of its exchange."""

    buy_at: tuple[TimeOfDay, ...] = Field(
        default=(), max_length=MAX_TIMES, description='Of kind `timed`: it buys then, "09:35"; New York, coins UTC.'
    )
    sell_at: tuple[TimeOfDay, ...] = Field(
        default=(), max_length=MAX_TIMES, description='All that the strategy holds is sold then: "15:50".'
    )
    grace_secs: Annotated[float, Field(gt=0, le=3_600)] = Field(
        default=300.0, description="A buy is skipped when it is later than this; a sale runs late, with an alarm."
    )
    mode: Literal["paper", "live"] = Field(
        default="paper", description="Which account the times are meant for; live: a live account too."
    )

    def of(self, book: str) -> Schedule:
        """The schedule of a strategy of `book`."""
        return Schedule(
            book=book,
            buy_at=tuple(map(time.fromisoformat, self.buy_at)),
            sell_at=tuple(map(time.fromisoformat, self.sell_at)),
            grace=timedelta(seconds=self.grace_secs),
        )

    def fault(self, book: str) -> str:
        """Key, value and range of what no session of `book` can follow; empty where there is nothing of the kind."""
        hours, schedule = HOURS[book], self.of(book)
        for key, times in (("buy_at", schedule.buy_at), ("sell_at", schedule.sell_at)):
            if sorted(set(times)) != list(times):
                return f"schedule.{key}: {_told(times)} is not allowed; allowed: times in ascending order, each once"
            if outside := [at for at in times if not hours.contain(at)]:
                return f"schedule.{key}: {_told(outside)} is not allowed; allowed: {_range(book)}"
        if not self.buy_at and not self.sell_at:
            return "schedule.sell_at: nothing is given; allowed: at least one time of buy_at or sell_at"
        if schedule.buy_at and schedule.sell_at and schedule.buy_at[-1] >= schedule.sell_at[-1]:
            last = self.sell_at[-1]
            return f"schedule.buy_at: {self.buy_at[-1]} is not allowed; allowed: before the day's last sale, {last}"
        return ""


def _told(times: "list[time] | tuple[time, ...]") -> str:
    return ", ".join(f"{at:%H:%M}" for at in times)


def _range(book: str) -> str:
    if book == "crypto":
        return "00:00 up to 23:59 UTC"
    return "09:30 up to 15:59 in New York, inside the usual hours"
