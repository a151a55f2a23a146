"""Whatever a client sends, it gets an answer in Alpaca's form, and never an HTTP 500 (BR-2, BR-4)."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.replay import plan
from holdfast_papermarket.adapters.journal_file import JournalFile
from holdfast_papermarket.api.access import App, Keys, RateLimit
from holdfast_papermarket.api.sources import OutsideSources
from holdfast_papermarket.app import build_app
from holdfast_papermarket.lockstep import MarketClock
from holdfast_papermarket.published.endpoints import ENDPOINTS
from holdfast_papermarket.published.outside_endpoints import OUTSIDE
from holdfast_papermarket.venue import PaperVenue
from holdfast_runtime.clock import SystemMonotonicClock

KEY = "any-key"
HEADERS = {
    "APCA-API-KEY-ID": KEY,
    "APCA-API-SECRET-KEY": KEY,
    "Authorization": f"Bearer {KEY}",
    "CG-API-KEY": KEY,
}
TICKS = 12


class Stand:
    """A venue without a socket, some minutes into its only day."""

    def __init__(self, folder: Path) -> None:
        recording = recordings.load(default_folder_of("equity"))
        replay = plan(recording, start="2013-10-08", end="2013-10-08")
        exchange = Exchange("odd", Market(recording, replay.begin), ExchangeConfig())
        self.journal = JournalFile(folder / "odd.journal", run={"run_id": "odd"})
        self.venue = PaperVenue(exchange, replay, self.journal, resend_on_subscribe=True)
        monotonic = SystemMonotonicClock()
        clock = MarketClock(self.venue, run_id="odd", roster=(), speed=0.0, monotonic_clock=monotonic)
        for _ in range(TICKS):
            clock.step()
        self.app: App = build_app(
            self.venue,
            clock,
            recording,
            run_id="odd",
            keys=Keys(KEY, KEY),
            limit=RateLimit(0.0, monotonic.now_secs, lambda: 0.0),
            sources=OutsideSources(seed=1, flow_token=KEY, intelligence_key=KEY),
        )

    async def ask(self, method: str, path: str, **asked: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://venue", headers=HEADERS) as client:
            return await client.request(method, path, **asked)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    made = Stand(tmp_path_factory.mktemp("odd"))
    yield made
    made.journal.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/account/portfolio/history?period=9999A", 422),
        ("/v2/account/portfolio/history?period=9999D", 422),
        ("/v2/account/portfolio/history?start=1900-01-01&timeframe=1D", 422),
        ("/v2/account/portfolio/history?start=0001-01-01", 400),
        ("/v2/corporate_actions/announcements?ca_types=split&since=9999-12-01&until=9999-12-31", 400),
        ("/v1/corporate-actions?start=0001-01-01T00:00:00Z", 400),
        ("/v1/corporate-actions?limit=1001", 400),
        ("/v1/corporate-actions?page_token=1", 400),
        ("/v1/corporate-actions?page_token=x", 400),
        ("/v1/corporate-actions?sort=up", 400),
        ("/v2/calendar?start=2190-01-01", 200),
        ("/v2/orders?limit=" + "0" * 63 + "1" + "0" * 5000, 422),
    ],
)
async def test_a_query_beyond_all_bounds_is_refused_with_a_sentence(stand: Stand, path: str, status: int) -> None:
    answered = await stand.ask("GET", path)
    assert answered.status_code == status, answered.text
    if status >= 400:
        assert answered.json()["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"notional": "900000000000000000", "limit_price": "0.01"},
        {"notional": "1000000000.01", "limit_price": "0.01"},
        {"qty": "900000000000000000", "limit_price": "0.01"},
        {"qty": "1", "limit_price": "900000000000000000"},
        {"qty": "1", "type": "trailing_stop", "trail_price": "900000000000000000"},
        {"qty": "1", "type": "stop", "stop_price": "900000000000000000"},
    ],
)
async def test_an_order_beyond_all_amounts_is_refused(stand: Stand, fields: dict[str, str]) -> None:
    order = {"symbol": "SPY", "side": "buy", "type": "limit", "time_in_force": "day"} | fields
    answered = await stand.ask("POST", "/v2/orders", json=order)
    assert (answered.status_code, answered.json()["code"]) == (422, 42210000), answered.text
    assert (await stand.ask("GET", "/v2/orders")).json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/orders"),
        ("PATCH", "/v2/account/configurations"),
        ("PUT", "/papermarket/v1/faults"),
        ("POST", "/papermarket/v1/faults"),
    ],
)
@pytest.mark.parametrize("content", [b"[" * 60_000, b'{"a":' * 10_000, b"\xff", b""])
async def test_a_body_that_cannot_be_read_is_refused(stand: Stand, method: str, path: str, content: bytes) -> None:
    answered = await stand.ask(method, path, content=content)
    assert (answered.status_code, answered.json()["code"]) == (400, 40010001)


async def test_what_nobody_expected_is_answered_as_json_and_counted(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(stand.venue, "market_now", lost)
        answered = await stand.ask("GET", "/v2/clock")
    assert answered.status_code == 500
    assert answered.json() == {"code": 50010000, "message": "internal server error occurred"}
    assert (await stand.ask("GET", "/papermarket/v1/status")).json()["failed_requests"] == 1


ODD = st.one_of(
    st.sampled_from(
        [
            "", "0", "-1", "1", "99999999999999999999", "9" * 5000, "1e999999", "NaN", "sNaN", "-Infinity", "0x10", "١",
            "true", "null", "SPY", "SPY,AAPL", "BTC/USD", "spy", "../..", "%00", "\x00", "é", "9999A", "9999D", "99W",
            "0001-01-01", "9999-12-31", "1900-01-01", "2013-10-08", "2199-12-31", "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999-23:59", "2013-10-08T13:30:00Z", "2013-10-08T13:30:00", "2013-13-45",
            "1M", "1Min", "1Day", "12Month", "59T", "asc", "desc", "split", "all", "1D", "1H", "continuous", "dividend",
            "U1BZfDAwMDEtMDEtMDFUMDA6MDA6MDArMDA6MDA=", "U1BZfDk5OTktMTItMzFUMjM6NTk6NTkrMDA6MDA=",
            "iex", "USD", "us", "4h", "Binance", "BTCUSDT", "BTC", "-", ",", "1,2",
        ]
    ),
    st.text(max_size=12),
)  # fmt: skip
"""The two in base64 are page tokens of the first and of the last instant that there is."""
ASKED = [each for each in (*ENDPOINTS, *OUTSIDE) if each.method == "GET"]


@st.composite
def requests(draw: st.DrawFn) -> str:
    """Path and query."""
    endpoint = draw(st.sampled_from(ASKED))
    path = re.sub(r"\{\w+\}", lambda _: quote(draw(ODD), safe="") or "x", endpoint.path)
    names = [each.name for each in endpoint.query]
    needed = [each.name for each in endpoint.query if each.required]
    chosen = {*draw(st.lists(st.sampled_from(names), max_size=4)), *needed} if names else set()
    query = {}
    for name in sorted(chosen):
        # What is needed is mostly right, so that the rest is looked at, too.
        usual = {"symbols": "SPY", "timeframe": "1Day"}.get(name)
        query[name] = usual if usual is not None and draw(st.integers(0, 3)) else draw(ODD)
    return f"{path}?{urlencode(query)}"


def test_odd_queries_of_every_endpoint_are_never_an_error_of_the_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stand = Stand(tmp_path_factory.mktemp("odd"))
    begun, asked = stand.venue.market_now(), 0

    def moving() -> Any:
        # Outside sources count requests by market time.
        nonlocal asked
        asked += 1
        return begun + min(timedelta(seconds=asked), timedelta(hours=6))

    stand.venue.market_now = moving

    @settings(
        max_examples=400, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(requests())
    def check(request: str) -> None:
        answered = asyncio.run(stand.ask("GET", request))
        assert answered.status_code < 500, answered.text[:300]
        assert stand.venue.failed_requests == 0

    check()
