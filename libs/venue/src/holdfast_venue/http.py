"""Alpaca's REST through alpaca-py's own client, made safe: one request is one request, and every one ends in time.

One bounded pool of threads and one HTTP session for each class of requests: `transport` has what runs in the threads.
"""

import asyncio
import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import NotSent, Throttled, Unauthorised
from holdfast_runtime.telemetry import traces
from holdfast_venue.access import Access, unauthorised
from holdfast_venue.breaker import Breaker
from holdfast_venue.limiter import Priority, RateLimiter
from holdfast_venue.transport import Answer, Attempt, NoAnswer, Rest, Session

__all__ = ["Answer", "NoAnswer", "VenueHttp"]

WORKERS = {Priority.PROTECTION: 4, Priority.ENTRY: 4, Priority.POLL: 2}
HEARTBEAT_SECS = 0.25
"""Shortest pause between two heartbeats."""
HTTP_UNAUTHORISED = 401
HTTP_FORBIDDEN = 403


class _Lane:
    """The threads and the session of one class of requests. A thread that hangs takes no other class with it."""

    def __init__(self, name: str, base_url: str, workers: int, *, use_proxies: bool, version: str) -> None:
        self.session = Session(base_url, workers, use_proxies=use_proxies)
        self.rest = Rest(base_url, self.session, version)
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
        self.access = access
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
                self.access.credentials(),
                self._clock,
                write_until,
                self._timeout_secs,
                on_write=functools.partial(span.event, "sent"),
            )
            answer = await self._answer(attempt, method, path, data, priority)
            span.set(**{"http.response.status_code": answer.status})
            if _is_unauthorised(answer):
                self.access.refuse(attempt.credentials)
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
            # A free thread is taken at once: waiting with a timeout makes a task and a timer.
            await (
                asyncio.wait_for(lane.free.acquire(), max(0.0, wait_secs))
                if lane.free.locked()
                else lane.free.acquire()
            )
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


def _is_unauthorised(answer: Answer) -> bool:
    """Alpaca answers wrong keys with 401, or with 403, the one word and no code."""
    if answer.status == HTTP_UNAUTHORISED:
        return True
    message = (answer.message or "").strip(". ").lower()
    return answer.status == HTTP_FORBIDDEN and message == "forbidden" and not answer.code
