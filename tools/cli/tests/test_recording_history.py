"""Alpaca's history is read whole: page after page, within the rate limit, and never half (TS-3, VE-1)."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from holdfast_cli.recording_history import MAX_WAIT_SECS, TRIES, History, HistoryFailed, Window, share
from holdfast_exchange import recording
from holdfast_exchange.combining import default_folder_of
from holdfast_papermarket.embedded import embedded

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
WINDOW = Window(symbol="SPY", step="1m", start=OPEN, end=OPEN + timedelta(hours=1))
BAR = {"t": "2013-10-07T13:30:00Z", "o": 1.1, "h": 2, "l": 0.00000001, "c": 1.5, "v": 7, "n": 1, "vw": 1.2}
Answering = Callable[[httpx.Request], httpx.Response]


def page(bars: list[object], token: str | None = None) -> httpx.Response:
    return httpx.Response(200, text=json.dumps({"bars": {"SPY": bars}, "next_page_token": token}))


def history(*answers: httpx.Response | Exception) -> tuple[History, list[httpx.Request], list[float]]:
    """A history that gives `answers` in turn, what it was asked, and how long it waited each time."""
    asked: list[httpx.Request] = []
    waits: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = answers[min(len(asked), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    transport = httpx.MockTransport(answer)
    made = History("https://data.test", "k", "s", wait=waits.append, now_secs=lambda: 1_000.0, transport=transport)
    return made, asked, waits


def test_pages_are_followed_and_numbers_stay_as_they_were_written() -> None:
    made, asked, _ = history(page([BAR], "next"), page([BAR | {"t": "2013-10-07T13:31:00Z"}]))
    heard: list[datetime] = []
    columns = made.bars(WINDOW, heard.append)
    assert columns["ts"] == [OPEN, OPEN + timedelta(minutes=1)] == heard
    assert (columns["open"][0], columns["low"][0], columns["volume"][0]) == ("1.1", "1e-08", "7")
    assert asked[0].url.path == "/v2/stocks/bars"
    assert dict(asked[0].url.params) | {"page_token": "next"} == dict(asked[1].url.params)
    assert asked[0].url.params["adjustment"] == "raw"
    assert asked[0].headers["APCA-API-KEY-ID"] == "k"


def test_pairs_are_asked_for_at_their_own_place() -> None:
    made, asked, _ = history(httpx.Response(200, text='{"bars": null}'))
    assert made.bars(Window(symbol="BTC/USD", step="1h", start=OPEN, end=OPEN))["ts"] == []
    assert (asked[0].url.path, asked[0].url.params["symbols"]) == ("/v1beta3/crypto/us/bars", "BTC/USD")
    assert "feed" not in asked[0].url.params


def test_a_rate_limit_is_waited_for_as_it_says() -> None:
    limited = [
        httpx.Response(429, headers={"Retry-After": "3"}),
        httpx.Response(429, headers={"X-RateLimit-Reset": "1020"}),
        httpx.Response(429, headers={"X-RateLimit-Reset": "99999"}),
        httpx.Response(429),
    ]
    made, _, waits = history(*limited, page([BAR]))
    assert len(made.bars(WINDOW)["ts"]) == 1
    assert waits == [3.0, 20.0, MAX_WAIT_SECS, MAX_WAIT_SECS / 2]


def test_what_passes_is_asked_again_a_bounded_number_of_times() -> None:
    passing: list[httpx.Response | Exception] = [
        httpx.ReadTimeout("slow"),
        httpx.Response(503),
        httpx.Response(200, text="<html>"),
    ]
    made, asked, _ = history(*passing, page([BAR]))
    assert len(made.bars(WINDOW)["ts"]) == 1
    assert len(asked) == 4
    made, asked, _ = history(httpx.ConnectError("gone"))
    with pytest.raises(HistoryFailed, match=f"no answer .ConnectError., {TRIES} times"):
        made.bars(WINDOW)
    assert len(asked) == TRIES


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([httpx.Response(401, text='{"message": "unauthorized."}')], "refuses with 401: unauthorized"),
        ([httpx.Response(403, text="<html>")], "refuses with 403: no reason given"),
        ([page([{"t": "soon"}])], "no page of bars"),
        ([httpx.Response(200, text='{"bars": [1]}')], "no page of bars"),
        ([page([BAR], "same"), page([BAR], "same")], "the same page came again"),
    ],
)
def test_what_does_not_pass_ends_it_in_a_sentence(answers: list[httpx.Response], message: str) -> None:
    made, _, waits = history(*answers)
    with pytest.raises(HistoryFailed, match=message):
        made.bars(WINDOW)
    assert waits == []


def test_keys_are_not_shown() -> None:
    shown = repr(History("https://data.test", "key-of-mine", "secret-of-mine"))
    assert "of-mine" not in shown


def test_progress_is_a_share_of_the_window() -> None:
    assert share(WINDOW, OPEN - timedelta(days=1)) == 0
    assert share(WINDOW, OPEN + timedelta(minutes=15)) == 0.25
    assert share(WINDOW, OPEN + timedelta(days=1)) == 1
    assert share(Window(symbol="SPY", step="1m", start=OPEN, end=OPEN), OPEN) == 1


async def test_papermarket_gives_its_recording_page_by_page(tmp_path: Path) -> None:
    """The same protocol from a server: every minute that was visible, once, with its exact prices."""
    loaded = recording.load(default_folder_of("equity"), symbols=("SPY",))
    until = OPEN + timedelta(hours=1)
    async with embedded(loaded, tmp_path, start="2013-10-07", end="2013-10-07") as market:
        market.step_to(until)
        made = History(market.url, market.keys.key, market.keys.secret, feed="iex", page=25)
        columns = await asyncio.to_thread(made.bars, Window(symbol="SPY", step="1m", start=OPEN, end=until))
    there = [each for each in loaded.minute_bars if each.start >= OPEN and each.end <= until]
    assert [(at, Decimal(price)) for at, price in zip(columns["ts"], columns["close"], strict=True)] == [
        (each.start, each.close) for each in there
    ]
    assert len(there) > 2 * 25
