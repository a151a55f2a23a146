"""The checks of those who talk to the venue. Each opens a client of its own and closes it, so that neither the breaker,
the credentials' state nor the rate limit of trading is touched by what is found here."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Protocol

from holdfast_catalogue.doctor.checks import Check, Result, doubtful, red, well
from holdfast_catalogue.doctor.edges import of_skew
from holdfast_core.sessions import Calendar
from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.ports.venue import BrokerAccount, BrokerClock

DEADLINE_SECS = 6.0
BROKER = "broker"
"""Name of the check that tries the account's keys."""


class Asked(Protocol):
    """What of the broker is asked."""

    async def account(self) -> BrokerAccount: ...

    async def clock(self) -> BrokerClock: ...


Opened = Callable[[], AbstractAsyncContextManager[Asked]]


def broker(opened: Opened) -> Check:
    """REST with the present keys: who may read the account may trade, and says so."""

    async def look() -> Result:
        async with opened() as client:
            account = await client.account()
        if account.trading_blocked:
            return red("the account answers, and is blocked for trading", "Ask the broker why the account is blocked.")
        return well(f"the {'live' if account.live else 'paper'} account answers")

    return Check(
        name=BROKER,
        look=look,
        steps=(
            "Look whether the keys are right and belong to this kind of account.",
            "Look at the broker's status page, and whether this service can reach it.",
        ),
        deadline_secs=DEADLINE_SECS,
        counted=True,
    )


def market_data(book: str, ask: Callable[[], Awaitable[object]]) -> Check:
    """The REST of the market data, with the present keys."""

    async def look() -> Result:
        await ask()
        return well("history and quotes answer")

    return Check(
        name=f"market data {book}",
        look=look,
        steps=(
            "Look whether the keys are right and may read this data.",
            "Look at the data provider's status page, and whether this service can reach it.",
        ),
        deadline_secs=DEADLINE_SECS,
        counted=True,
    )


def clock(opened: Opened, market: MarketClock, *, own_clock: bool) -> Check:
    """The venue's clock beside ours. `own_clock`: false where market time comes from the venue, in a replay."""

    async def look() -> Result:
        async with opened() as client:
            asked_at = market.now()
            told = (await client.clock()).now
            answered_at = market.now()
        if not own_clock:
            return well(f"market time is the venue's own: {told:%Y-%m-%d %H:%M:%S} UTC")
        return of_skew(told - (asked_at + (answered_at - asked_at) / 2), "the venue's clock")

    return Check(
        name="clock of the venue",
        look=look,
        steps=("Look whether the broker answers.",),
        deadline_secs=DEADLINE_SECS,
        counted=True,
    )


def calendar(opened: Opened, own: Calendar) -> Check:
    """The venue's next open and close beside our table's: a holiday or an early close that we do not know (TL-3)."""

    async def look() -> Result:
        async with opened() as client:
            told = await client.clock()
        here = (own.is_open(told.now), own.next_open(told.now), own.next_close(told.now))
        there = (told.is_open, told.next_open.astimezone(UTC), told.next_close.astimezone(UTC))
        if here != there:
            return doubtful(f"the venue is {_words(*there)}; our calendar says {_words(*here)}")
        return well(_words(*here))

    return Check(
        name="calendar",
        look=look,
        steps=(
            "Believe the venue: nothing is sold while it is closed, and entries are refused by it.",
            "Where the calendar is wrong, take a release with a newer table of sessions.",
        ),
        deadline_secs=DEADLINE_SECS,
        counted=True,
    )


def _words(is_open: bool, next_open: datetime, next_close: datetime) -> str:
    def told(at: datetime) -> str:
        return f"{at:%Y-%m-%d %H:%M} UTC"

    return f"{'open' if is_open else 'closed'}, opens {told(next_open)}, closes {told(next_close)}"


def stream(name: str, connected: Callable[[], bool | None]) -> Check:
    """A stream that the service holds itself: an account may have one data connection only, so none is opened here.

    `connected`: None where another process holds it."""

    def look() -> Result:
        up = connected()
        if up is None:
            return well("another process holds it")
        return well("connected and authenticated") if up else red("not connected")

    return Check(
        name=name,
        look=look,
        steps=(
            "Look whether the keys are right, and whether another program uses the account's one connection.",
            "Look at the venue's status page, and whether this service can reach it.",
        ),
    )
