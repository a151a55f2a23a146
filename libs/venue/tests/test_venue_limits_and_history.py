"""The rate limiter, history by REST, and which account may be opened."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_core.sessions import session_of
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.ports.venue import Throttled, Timeframe, Unauthorised, VenueUnavailable
from holdfast_runtime.settings import Settings
from holdfast_venue.factory import access_of, broker_to_examine, open_broker, open_feed
from holdfast_venue.limiter import Priority, RateLimiter

NEVER = float("inf")


class HandClock:
    """Monotonic time that a test moves."""

    def __init__(self) -> None:
        self.secs = 0.0

    def now_secs(self) -> float:
        return self.secs

    async def sleep(self, secs: float) -> None:
        self.secs += secs


@given(st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=60), st.sampled_from([20, 180, 200]))
def test_no_window_of_a_minute_holds_more_requests_than_the_limit(gaps: list[float], per_minute: int):
    """Trap 11."""

    async def run() -> list[float]:
        clock = HandClock()
        limiter = RateLimiter(limit=per_minute, clock=clock)
        sent: list[float] = []
        for gap in gaps:
            clock.secs += gap
            while True:
                try:
                    await limiter.take(Priority.PROTECTION, give_up_at_secs=clock.secs)
                except Throttled:
                    break
                sent.append(clock.secs)
        return sent

    sent = asyncio.run(run())
    for first in sent:
        assert sum(first <= at < first + 60 for at in sent) <= per_minute


async def test_protection_goes_before_entries_and_polls_go_last():
    clock = HandClock()
    limiter = RateLimiter(limit=180, clock=clock, window_secs=1.0)
    until = clock.now_secs() + 60
    while True:
        try:
            await limiter.take(Priority.PROTECTION, give_up_at_secs=clock.now_secs())
        except Throttled:
            break
    went: list[Priority] = []

    async def go(priority: Priority) -> None:
        await limiter.take(priority, give_up_at_secs=until)
        went.append(priority)

    order = [Priority.POLL, Priority.ENTRY, Priority.POLL, Priority.PROTECTION, Priority.ENTRY, Priority.PROTECTION]
    waiting = [asyncio.create_task(go(priority)) for priority in order]
    await asyncio.sleep(0)
    assert went == [], "nothing flows in before all of them wait"
    clock.secs += 1.0
    await asyncio.gather(*waiting)
    assert went == sorted(order)


async def test_polls_leave_the_last_requests_to_entries_and_these_to_protection():
    clock = HandClock()
    limiter = RateLimiter(limit=180, clock=clock)

    async def drain(priority: Priority) -> int:
        count = 0
        while True:
            try:
                await limiter.take(priority, give_up_at_secs=clock.secs)
            except Throttled:
                return count
            count += 1

    assert [await drain(priority) for priority in (Priority.POLL, Priority.ENTRY, Priority.PROTECTION)] == [12, 3, 3]


async def test_what_the_venue_says_of_its_limit_is_obeyed():
    clock = HandClock()
    limiter = RateLimiter(limit=180, clock=clock)
    limiter.observe(200, {"X-RateLimit-Remaining": "1"})
    await limiter.take(Priority.PROTECTION, give_up_at_secs=clock.secs)
    with pytest.raises(Throttled):
        await limiter.take(Priority.PROTECTION, give_up_at_secs=clock.secs)
    assert limiter.observe(429, {"Retry-After": "30"}) == 30.0
    clock.secs += 29
    with pytest.raises(Throttled):
        await limiter.take(Priority.PROTECTION, give_up_at_secs=clock.secs)
    clock.secs += 1
    await limiter.take(Priority.PROTECTION, give_up_at_secs=clock.secs)


async def test_a_request_that_is_given_up_takes_nothing_from_the_others(clock: Any):
    limiter = RateLimiter(limit=10, clock=HandClock())
    await limiter.take(Priority.PROTECTION, give_up_at_secs=NEVER)
    waiting = asyncio.create_task(limiter.take(Priority.PROTECTION, give_up_at_secs=1e6))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_in_lock_step_nothing_waits(venue: Any, settings_for: Any, secrets: Any, clock: Any, answers: Any):
    venue.then(answers.json(200, []))
    settings = settings_for(venue.port, speed=0, requests_per_minute=1)
    broker = open_broker(settings, secrets, monotonic_clock=clock, environ={})
    for _ in range(100):
        await broker.positions()
    await broker.close()


async def test_a_minute_of_a_replay_is_one_of_market_time():
    clock = HandClock()
    limiter = RateLimiter(limit=180, clock=clock, window_secs=1.0)
    sent = 0
    while clock.secs < 1.0:
        try:
            await limiter.take(Priority.PROTECTION, give_up_at_secs=clock.secs)
            sent += 1
        except Throttled:
            clock.secs += 0.001
    assert 175 <= sent <= 180


async def test_a_share_of_the_limit_is_a_share(venue: Any, settings_for: Any, secrets: Any, answers: Any):
    """Execution and reconciliation are two processes with one limit."""
    venue.then(answers.json(200, []))
    settings = settings_for(venue.port, kind="alpaca", timeout_secs=3.0)
    broker = open_broker(settings, secrets, monotonic_clock=HandClock(), share=1 / 6, environ={})
    answers_got = await asyncio.gather(*(broker.positions() for _ in range(9)), return_exceptions=True)
    assert [isinstance(each, Throttled) for each in answers_got].count(True) == 7
    assert len(venue.requests) == 2
    await broker.close()


class MarketClock:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        raise NotImplementedError


def bar_json(at: datetime, close: float = 168.3) -> dict[str, Any]:
    return {"t": at.isoformat(), "o": 168.1, "h": 168.5, "l": 168.0, "c": close, "v": 1000, "n": 3, "vw": 168.2}


async def test_history_is_paged_and_ends_with_what_is_visible(
    venue: Any, settings_for: Any, secrets: Any, clock: Any, answers: Any
):
    """A bar is visible at its end."""
    start = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
    series = {symbol: [bar_json(start + timedelta(minutes=n)) for n in range(10)] for symbol in ("IBM", "SPY")}

    async def listing(request: Any, writer: Any) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        assert (query["feed"], query["adjustment"], query["timeframe"]) == ("iex", "raw", "1Min")
        page, symbol = int(query.get("page_token", 0)), ("IBM", "SPY")
        more = str(page + 1) if page == 0 else None
        body = {"bars": {symbol[page]: series[symbol[page]]}, "next_page_token": more}
        await answers.json(200, body)(request, writer)

    venue.then(listing)
    now = start + timedelta(minutes=8, seconds=30)
    feed = open_feed(settings_for(venue.port), secrets, market_clock=MarketClock(now), monotonic_clock=clock)
    bars = await feed.bars(("SPY", "IBM"), Timeframe.MINUTE, start, start + timedelta(hours=1))
    assert {symbol: len(found) for symbol, found in bars.items()} == {"SPY": 8, "IBM": 8}
    assert bars["SPY"][0].end == start + timedelta(minutes=1)
    assert bars["SPY"][0].open == Decimal("168.1")
    part = await feed.bars(("SPY",), Timeframe.MINUTE, start, start + timedelta(minutes=2))
    assert [bar.start for bar in part["SPY"]] == [start, start + timedelta(minutes=1)]
    assert len(venue.requests) == 4
    await feed.close()


async def test_a_daily_bar_ends_with_its_session(venue: Any, settings_for: Any, secrets: Any, clock: Any, answers: Any):
    """Its time is midnight in New York, on both sides of a change to winter time and on a half day."""
    days = {"2013-11-01T04:00:00Z": date(2013, 11, 1), "2013-11-29T05:00:00Z": date(2013, 11, 29)}
    body = {"bars": {"SPY": [bar_json(datetime.fromisoformat(at)) for at in days]}, "next_page_token": None}
    venue.then(answers.json(200, body))
    now = session_of(date(2013, 11, 29)).close
    feed = open_feed(settings_for(venue.port), secrets, market_clock=MarketClock(now), monotonic_clock=clock)
    bars = await feed.bars(("SPY",), Timeframe.DAY, datetime(2013, 10, 1, tzinfo=UTC), now)
    assert [bar.end for bar in bars["SPY"]] == [session_of(day).close for day in days.values()]
    assert bars["SPY"][1].end == datetime(2013, 11, 29, 18, tzinfo=UTC)
    await feed.close()


async def test_the_newest_quotes_can_be_asked_for(
    venue: Any, settings_for: Any, secrets: Any, clock: Any, answers: Any
):
    """The stream repeats none: asked for after each StreamUp. One from the future is not visible."""
    now = datetime(2013, 10, 7, 13, 35, tzinfo=UTC)
    told = {"bp": 168.29, "bs": 3, "ap": 168.31, "as": 5}
    later = (now + timedelta(seconds=1)).isoformat()
    body = {"quotes": {"SPY": {**told, "t": now.isoformat()}, "IBM": {**told, "t": later}}}
    venue.then(answers.json(200, body))
    feed = open_feed(settings_for(venue.port), secrets, market_clock=MarketClock(now), monotonic_clock=clock)
    quotes = await feed.latest_quotes(("SPY", "IBM", "BAC"))
    assert {symbol: (quote.bid, quote.ask) for symbol, quote in quotes.items()} == {
        "SPY": (Decimal("168.29"), Decimal("168.31"))
    }
    assert urlsplit(venue.requests[0].target).path == "/v2/stocks/quotes/latest"
    await feed.close()


@pytest.mark.parametrize("status", [404, 422, 500])
async def test_history_that_is_not_answered_is_unavailable(
    venue: Any, settings_for: Any, secrets: Any, clock: Any, answers: Any, status: int
):
    venue.then(answers.text(status, "<html>"))
    start = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
    feed = open_feed(settings_for(venue.port), secrets, market_clock=MarketClock(start), monotonic_clock=clock)
    with pytest.raises(VenueUnavailable):
        await feed.bars(("SPY",), Timeframe.MINUTE, start, start + timedelta(hours=1))
    await feed.close()


@pytest.mark.parametrize(
    ("kind", "live", "flag", "refused"),
    [
        ("alpaca", False, "", False),
        ("alpaca", True, "", True),
        ("alpaca", False, "1", True),
        ("alpaca", True, "1", False),
        ("papermarket", True, "", False),
        ("papermarket", True, "1", True),
    ],
)
async def test_a_live_account_needs_the_configuration_and_the_flag(
    secrets: Any, clock: Any, kind: str, live: bool, flag: str, refused: bool
):
    settings = Settings.model_validate(
        {
            "account": {"live": live},
            "venue": {"kind": kind, "trading_url": "http://x", "trading_stream_url": "ws://x"},
        }
    )
    environ = {"HOLDFAST_LIVE": flag}
    if refused:
        with pytest.raises(AskPerson, match="live") as error:
            open_broker(settings, secrets, monotonic_clock=clock, environ=environ)
        assert error.value.steps
    else:
        await open_broker(settings, secrets, monotonic_clock=clock, environ=environ).close()


async def test_who_examines_the_broker_does_not_go_on_with_refused_keys(
    venue: Any, settings_for: Any, secrets: Any, clock: Any, answers: Any
):
    """Invariant 5: looks share the latch, however often they are repeated."""
    venue.then(answers.json(401, {"code": 40110000, "message": "request is not authorized"}))
    access = access_of(secrets)
    for _ in range(3):
        async with broker_to_examine(settings_for(venue.port), secrets, access=access, monotonic_clock=clock) as broker:
            with pytest.raises(Unauthorised):
                await broker.account()
    assert len(venue.requests) == 1


def test_the_adapters_stay_lean():
    """pandas would take 50 MB in each of the processes; all of them together stay under 1 GB."""
    import subprocess
    import sys

    program = "import holdfast_venue.factory, sys; print(sorted({'pandas', 'numpy', 'polars'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
