"""Bars from Alpaca's history by REST, page after page, within its rate limit.

Any server that speaks Alpaca's market-data protocol will do, papermarket too. Reading may be repeated: what failed for
a reason that passes is asked again, a bounded number of times.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

ALPACA_DATA = "https://data.alpaca.markets"
PAGE = 10_000
TRIES = 6
TIMEOUT_SECS = 30.0
MAX_WAIT_SECS = 70.0
"""A rate limit lasts a minute."""
TIMEFRAMES = {"1m": "1Min", "1h": "1Hour", "1d": "1Day"}
THROTTLED = 429
REFUSED = frozenset({400, 401, 403, 404, 422})

Told = Callable[[datetime], None]


class HistoryFailed(Exception):
    """The history cannot be had: a sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is asked for: one symbol, [start, end] both included, aware instants; `step` is 1m, 1h or 1d."""

    symbol: str
    step: str
    start: datetime
    end: datetime


@dataclass(slots=True)
class History:
    """One connection. `wait` takes seconds; `now_secs` is Unix time, for comparison with X-RateLimit-Reset."""

    url: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    feed: str = "sip"
    wait: Callable[[float], None] = time.sleep
    now_secs: Callable[[], float] = time.time
    page: int = PAGE
    transport: httpx.BaseTransport | None = None
    """Instead of the network."""

    def bars(self, window: Window, told: Told = lambda _at: None) -> dict[str, list[Any]]:
        """Columns of bars: `ts` aware, numbers as the text that came. `told` hears how far it is. HistoryFailed."""
        columns: dict[str, list[Any]] = {
            name: [] for name in ("symbol", "ts", "open", "high", "low", "close", "volume")
        }
        with httpx.Client(timeout=TIMEOUT_SECS, transport=self.transport) as client:
            for page in self._pages(client, window):
                for bar in page:
                    columns["symbol"].append(window.symbol)
                    columns["ts"].append(datetime.fromisoformat(bar["t"]))
                    for name in ("open", "high", "low", "close", "volume"):
                        columns[name].append(bar[name[0]])
                if page:
                    told(columns["ts"][-1])
        return columns

    def _pages(self, client: httpx.Client, window: Window) -> Iterator[list[dict[str, Any]]]:
        pair = "/" in window.symbol
        path = "/v1beta3/crypto/us/bars" if pair else "/v2/stocks/bars"
        query = {
            "symbols": window.symbol,
            "timeframe": TIMEFRAMES[window.step],
            "start": _text(window.start),
            "end": _text(window.end),
            "limit": str(self.page),
            "sort": "asc",
        }
        if not pair:
            query |= {"adjustment": "raw", "feed": self.feed}
        while True:
            body = self._ask(client, path, query)
            try:
                page = (body.get("bars") or {}).get(window.symbol) or []
                token = body.get("next_page_token")
                for bar in page:
                    datetime.fromisoformat(bar["t"])
                    _ = [bar[name] for name in "ohlcv"]
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise HistoryFailed(f"{self.url}: an answer that is no page of bars: {error!r}") from error
            yield page
            if not token:
                return
            if token == query.get("page_token"):
                raise HistoryFailed(f"{self.url}: the same page came again")
            query = {**query, "page_token": str(token)}

    def _ask(self, client: httpx.Client, path: str, query: dict[str, str]) -> dict[str, Any]:
        headers = {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret}
        reason = ""
        for number in range(TRIES):
            try:
                answer = client.get(self.url.rstrip("/") + path, params=query, headers=headers)
            except httpx.HTTPError as error:
                reason = f"no answer ({type(error).__name__})"
                self.wait(2.0**number)
                continue
            if answer.status_code == THROTTLED:
                reason = "rate limit"
                self.wait(self._pause(answer.headers))
                continue
            if answer.status_code in REFUSED:
                raise HistoryFailed(f"{self.url} refuses with {answer.status_code}: {_message(answer)}")
            if answer.is_success and (body := _body(answer)) is not None:
                return body
            reason = f"answer {answer.status_code}"
            self.wait(2.0**number)
        raise HistoryFailed(f"{self.url}: {reason}, {TRIES} times")

    def _pause(self, headers: httpx.Headers) -> float:
        """Seconds until the limit is lifted, as the answer says; at most a bit over a minute."""
        for name, since in (("Retry-After", 0.0), ("X-RateLimit-Reset", self.now_secs())):
            try:
                return min(max(float(headers[name]) - since, 1.0), MAX_WAIT_SECS)
            except (KeyError, ValueError):
                continue
        return MAX_WAIT_SECS / 2


def share(window: Window, at: datetime) -> float:
    """How much of the window lies before `at`: 0 to 1."""
    whole = (window.end - window.start) / timedelta(seconds=1)
    return min(max((at - window.start) / timedelta(seconds=1) / whole, 0.0), 1.0) if whole > 0 else 1.0


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _body(answer: httpx.Response) -> dict[str, Any] | None:
    """Numbers stay text, so that no price is rounded on its way."""
    try:
        body = json.loads(answer.text, parse_float=str, parse_int=str)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _message(answer: httpx.Response) -> str:
    body = _body(answer)
    return str(body.get("message") or "no reason given") if body is not None else "no reason given"
