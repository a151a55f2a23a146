"""Alpaca's REST through alpaca-py's own client, made safe: one request is one request, and every one ends in time.

What is changed of the client: no hidden retry (it would send an order again, trap 1), a timeout (it has none, trap 2),
one bounded pool of threads and one HTTP session for each class of requests, numbers read as Decimal (trap 7).
The base class is used rather than TradingClient, which imports pandas: 50 MB in each process.
"""

import asyncio
import functools
import json
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from http.client import HTTPException
from typing import Any

import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import NotSent, Throttled, Unauthorised
from holdfast_runtime.telemetry import traces
from holdfast_venue.access import Access, Credentials, unauthorised
from holdfast_venue.breaker import Breaker
from holdfast_venue.limiter import Priority, RateLimiter

WORKERS = {Priority.PROTECTION: 4, Priority.ENTRY: 4, Priority.POLL: 2}
HEARTBEAT_SECS = 0.25
"""Shortest pause between two heartbeats."""
MAX_BODY_BYTES = 32 * 2**20
HTTP_UNAUTHORISED = 401
HTTP_FORBIDDEN = 403


class NoAnswer(Exception):
    """No readable HTTP answer came. `sent`: False where nothing had left this machine."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `body` is the parsed JSON; None where there is none or it cannot be parsed."""

    status: int
    body: Any
    text: str
    reset_secs: float = 0.0
    """Seconds until the rate limit opens, of a 429."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str | None:
        """The venue's own words in a refusal; None where the body is not the venue's (HTML of a gateway)."""
        message = self.body.get("message") if isinstance(self.body, dict) else None
        return message if isinstance(message, str) else None

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


@dataclass(slots=True)
class Attempt:
    """One request on its way: shared by the loop, which may give it up, and the thread that sends it."""

    credentials: Credentials
    clock: MonotonicClock
    last_write_at_secs: float
    timeout_secs: float
    on_write: Callable[[], None] = lambda: None
    """Called in the sending thread, just before the first byte leaves."""
    sent: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    _given_up: bool = False
    _socket: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def about_to_write(self, connected: socket.socket) -> None:
        """The last look before the first byte, in the sending thread. Raises NotSent (order protocol, point 4)."""
        with self._lock:
            if self.sent:
                return
            if self._given_up or self.clock.now_secs() > self.last_write_at_secs:
                raise NotSent("the last instant for a socket write has passed")
            self.sent = True
            self._socket = connected
        self.on_write()

    def give_up(self) -> None:
        """Nothing is written after this; a thread that waits for the answer is woken."""
        with self._lock:
            self._given_up = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


_under_way = threading.local()


class _Guarded(HTTPConnection):
    """Asks the attempt of this thread before the first byte of a request, when the connection stands."""

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        # What opens a tunnel through a proxy is not the request yet.
        if self.sock is not None and (self.proxy is None or self.has_connected_to_proxy):
            _under_way.attempt.about_to_write(self.sock)
        super().send(data)


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


class _Session(requests.Session):
    """Adds what alpaca-py leaves out, around the one method that it sends by."""

    def __init__(self, workers: int, *, use_proxies: bool) -> None:
        super().__init__()
        self.trust_env = use_proxies
        adapter = _Adapter(pool_connections=1, pool_maxsize=workers, max_retries=0)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        attempt: Attempt = _under_way.attempt
        response = super().request(method, url, *args, **{**kwargs, "timeout": attempt.timeout_secs})
        attempt.status, attempt.headers = response.status_code, response.headers
        if len(response.content) > MAX_BODY_BYTES:
            raise requests.exceptions.ContentDecodingError("the answer is absurdly long")
        response.json = functools.partial(response.json, parse_float=Decimal)  # type: ignore[method-assign] # trap 7
        return response


class _Rest(RESTClient):
    """alpaca-py's client without its retries, authenticating with the credentials of the attempt."""

    def __init__(self, base_url: str, session: _Session, version: str) -> None:
        super().__init__(
            base_url=base_url, api_key="from the attempt", secret_key="from the attempt", api_version=version
        )
        self._retry = 0
        self._retry_codes = []
        self._session.close()
        self._session = session

    def _get_auth_headers(self) -> dict[str, str]:
        credentials = _under_way.attempt.credentials
        return {"APCA-API-KEY-ID": credentials.key, "APCA-API-SECRET-KEY": credentials.secret}

    def perform(self, attempt: Attempt, method: str, path: str, data: Any) -> Answer:
        """Sends one request in this thread. Raises NotSent and NoAnswer."""
        _under_way.attempt = attempt
        try:
            body = self._request(method, path, data)
            return Answer(attempt.status, body, "")
        except APIError as error:
            # Its `code` raises where the body is HTML (trap 3): read it here.
            return _refusal(attempt.status, str(error))
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            raise NoAnswer(type(error).__name__, sent=attempt.sent) from error


class _Lane:
    """The threads and the session of one class of requests. A thread that hangs takes no other class with it."""

    def __init__(self, name: str, base_url: str, workers: int, *, use_proxies: bool, version: str) -> None:
        self.session = _Session(workers, use_proxies=use_proxies)
        self.rest = _Rest(base_url, self.session, version)
        self.executor = ThreadPoolExecutor(workers, thread_name_prefix=f"venue-{name}")
        self.free = asyncio.Semaphore(workers)


class VenueHttp:
    """Bounded calls to one REST server of the venue."""

    def __init__(
        self,
        *,
        base_url: str,
        access: Access,
        limiter: RateLimiter,
        clock: MonotonicClock,
        timeout_secs: float,
        system: str,
        use_proxies: bool,
        heartbeat_path: str = "",
        version: str = "v2",
    ) -> None:
        """`heartbeat_path`: what is asked while the circuit breaker is open; empty: it waits for the next poll.
        `version`: of the interface, the first part of every path."""
        self._base_url = base_url.rstrip("/")
        self._access = access
        self._limiter = limiter
        self._clock = clock
        self._timeout_secs = timeout_secs
        self._system = system
        self._use_proxies = use_proxies
        self._version = version
        self._lanes: dict[Priority, _Lane] = {}
        self._breaker = Breaker(system, clock)
        self._heartbeat_path = heartbeat_path
        self._heart: asyncio.Task[None] | None = None

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        data: Any = None,
        *,
        priority: Priority,
        last_write_at_secs: float | None = None,
        about: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its answer, whatever its status, within twice the timeout. `about` goes into its span; the
        trace context itself stays inside the house.

        Raises Unauthorised (401, now or before), Throttled (our own limit), NotSent (also where the circuit breaker is
        open), NoAnswer."""
        attributes = {"http.request.method": method, "priority": priority.name.lower(), **(about or {})}
        with traces.span(f"{self._system}.{operation}", kind=traces.Kind.CLIENT, **attributes) as span:
            write_until = last_write_at_secs
            if write_until is None:
                write_until = self._clock.now_secs() + self._timeout_secs
            await self._limiter.take(priority, give_up_at_secs=write_until)
            attempt = Attempt(
                self._access.credentials(),
                self._clock,
                write_until,
                self._timeout_secs,
                on_write=functools.partial(span.event, "sent"),
            )
            answer = await self._answer(attempt, method, path, data, priority)
            span.set(**{"http.response.status_code": answer.status})
            if _is_unauthorised(answer):
                self._access.refuse(attempt.credentials)
                raise unauthorised(answer.message or f"HTTP {answer.status}")
            reset_secs = self._limiter.observe(answer.status, attempt.headers)
            return Answer(answer.status, answer.body, answer.text, reset_secs)

    async def _answer(self, attempt: Attempt, method: str, path: str, data: Any, priority: Priority) -> Answer:
        with self._breaker.admitted(priority):
            try:
                answer = await self._run(attempt, method, path, data, priority)
                self._breaker.answered(answer.status)
            except NoAnswer as error:
                self._breaker.failed(str(error))
                raise
            finally:
                if self._breaker.is_open and self._heartbeat_path and self._heart is None:
                    self._heart = asyncio.create_task(self._ask_while_open())
        return answer

    async def _ask_while_open(self) -> None:
        """The heartbeat: nobody else may have anything to ask, and the circuit must close by itself (BR-8)."""
        try:
            while self._breaker.is_open:
                await self._clock.sleep(max(self._breaker.asks_after_secs, HEARTBEAT_SECS))
                with suppress(NoAnswer, NotSent, Throttled, Unauthorised):
                    await self.call("heartbeat", "GET", self._heartbeat_path, priority=Priority.POLL)
        finally:
            self._heart = None

    async def _run(self, attempt: Attempt, method: str, path: str, data: Any, priority: Priority) -> Answer:
        lane = self._lane(priority)
        wait_secs = attempt.last_write_at_secs - self._clock.now_secs()
        try:
            await asyncio.wait_for(lane.free.acquire(), timeout=max(0.0, wait_secs))
        except TimeoutError:
            raise NotSent("all threads of this class were busy") from None
        future = asyncio.get_running_loop().run_in_executor(
            lane.executor, lane.rest.perform, attempt, method, path, data
        )

        def done(ended: "asyncio.Future[Answer]") -> None:
            lane.free.release()
            if not ended.cancelled():
                ended.exception()

        future.add_done_callback(done)
        try:
            # The timeout of the socket bounds each read; this one bounds an answer that drips in.
            return await asyncio.wait_for(asyncio.shield(future), timeout=self._timeout_secs)
        except TimeoutError:
            attempt.give_up()
            raise NoAnswer("no answer in time", sent=attempt.sent) from None
        except asyncio.CancelledError:
            attempt.give_up()
            raise

    def _lane(self, priority: Priority) -> _Lane:
        lane = self._lanes.get(priority)
        if lane is None:
            name = f"{self._system}-{priority.name.lower()}"
            lane = _Lane(name, self._base_url, WORKERS[priority], use_proxies=self._use_proxies, version=self._version)
            self._lanes[priority] = lane
        return lane

    async def close(self) -> None:
        """Ends threads and sessions; requests under way are not waited for."""
        if self._heart is not None:
            self._heart.cancel()
        for lane in self._lanes.values():
            lane.executor.shutdown(wait=False)
            lane.session.close()
        self._lanes.clear()


def _refusal(status: int, text: str) -> Answer:
    try:
        return Answer(status, json.loads(text), text)
    except ValueError:
        return Answer(status, None, text)


def _is_unauthorised(answer: Answer) -> bool:
    """Alpaca answers wrong keys with 401, or with 403, the one word and no code."""
    if answer.status == HTTP_UNAUTHORISED:
        return True
    message = (answer.message or "").strip(". ").lower()
    return answer.status == HTTP_FORBIDDEN and message == "forbidden" and not answer.code
