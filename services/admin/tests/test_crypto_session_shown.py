"""What trades round the clock has no close to wait for (TL-3, PT-7)."""

from datetime import UTC, datetime

from holdfast_admin.domain.board import market_time
from holdfast_admin.domain.sources import Sources
from holdfast_core.sessions import ROUND_THE_CLOCK, calendar_of

NIGHT = datetime(2018, 4, 4, 3, tzinfo=UTC)


def test_the_crypto_book_is_open_at_night_and_never_closes() -> None:
    shown = market_time(Sources(), NIGHT, calendar_of("crypto"))
    assert calendar_of("crypto") is ROUND_THE_CLOCK
    assert (shown.now, shown.is_open, shown.next_change) == (NIGHT, True, None)


def test_equities_wait_for_the_open() -> None:
    shown = market_time(Sources(), NIGHT, calendar_of("equity"))
    assert (shown.is_open, shown.next_change) == (False, datetime(2018, 4, 4, 13, 30, tzinfo=UTC))
