"""Where ledger calls run: one writer thread with group commit, one reader thread; or inline in the simulation."""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from holdfast_execution.adapters.sql.reads import SqlReads
from holdfast_execution.adapters.sql.session import Session
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.ledger import Ledger, LedgerError, LedgerReads
from holdfast_execution.parts import Parts
from holdfast_runtime.errors import HoldfastError, Retry
from holdfast_runtime.telemetry import metrics

T = TypeVar("T")

_QUEUE = 1024
"""Calls that may wait: more means that the database has stopped answering."""
_GROUP = 64
"""Calls that share one commit at most."""


@dataclass(slots=True)
class _Call:
    run: Callable[[Any], Any]
    answer: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = field(default=None)


def _as_retry(error: sa.exc.DBAPIError) -> Retry:
    # The statement is left out: its parameters are account data.
    return Retry(f"the ledger's database did not answer: {type(error.orig).__name__}", after_secs=0.5)


class _Worker:
    """A thread that takes calls from a bounded queue, several at a time."""

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        group: int,
        committed: Callable[[int], None] = lambda _version: None,
    ) -> None:
        self._loop = loop
        self._committed = committed
        self._group = group
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def submit(self, run: Callable[[Any], T]) -> T:
        # Only the event loop puts calls in: nobody else can fill the queue in between.
        if self._queue.qsize() >= _QUEUE:
            raise Retry("the ledger's queue is full", after_secs=0.1)
        answer: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Call(run, answer))
        return await answer

    async def close(self) -> None:
        """Runs what is queued, then ends the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def perform(self, calls: list[_Call]) -> int | None:
        """Runs the calls and sets the value or the error of each; returns the version where it was raised."""
        raise NotImplementedError

    def _work(self) -> None:
        ended = False
        while not ended:
            calls: list[_Call] = []
            item = self._queue.get()
            while True:
                if item is None:
                    ended = True
                else:
                    calls.append(item)
                if ended or len(calls) >= self._group:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if calls:
                self._loop.call_soon_threadsafe(self._answer, calls, self.perform(calls))

    def _answer(self, calls: list[_Call], version: int | None) -> None:
        """Whoever called goes on first, then those whom the new version wakes: an order before what can wait."""
        for call in calls:
            # A waiter that was cancelled has no use for its answer; the call was committed all the same.
            if call.answer.done():
                continue
            if call.error is not None:
                call.answer.set_exception(call.error)
            else:
                call.answer.set_result(call.value)
        if version is not None:
            self._committed(version)


class _Writing(_Worker):
    def __init__(self, loop: asyncio.AbstractEventLoop, ledger: SqlLedger, committed: Callable[[int], None]) -> None:
        super().__init__("ledger-writer", loop, _GROUP, committed)
        self._ledger = ledger
        self._version = -1

    def perform(self, calls: list[_Call]) -> int | None:
        version: int | None = None
        began_secs = self._loop.time()
        try:
            with self._ledger.session.transaction() as transaction:
                for call in calls:
                    self._one(call, transaction.savepoint if len(calls) > 1 else None)
                    if call.error is not None and len(calls) == 1:
                        raise call.error
                version = transaction.version
        except sa.exc.DBAPIError as error:
            version = None
            for call in calls:
                call.error = call.error or _as_retry(error)
        except Exception as error:  # noqa: BLE001  # belongs to the callers, who get it; the thread goes on
            version = None
            for call in calls:
                call.error = call.error or error
        metrics.LEDGER_COMMIT_SECONDS.observe(self._loop.time() - began_secs)
        if version is None or version == self._version:
            return None
        self._version = version
        return version

    def _one(self, call: _Call, savepoint: Callable[[], Any] | None) -> None:
        try:
            if savepoint is None:
                call.value = call.run(self._ledger)
                return
            with savepoint():
                call.value = call.run(self._ledger)
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated or isinstance(error, sa.exc.OperationalError):
                raise
            call.error = LedgerError(f"the database refuses this call: {type(error.orig).__name__}")
        except Exception as error:  # noqa: BLE001  # one refused call must not undo its neighbours
            call.error = error


class _Reading(_Worker):
    def __init__(self, loop: asyncio.AbstractEventLoop, reads: SqlReads) -> None:
        super().__init__("ledger-reader", loop, 1)
        self._reads = reads

    def perform(self, calls: list[_Call]) -> int | None:
        for call in calls:
            try:
                # One snapshot for all that the call reads: what it sees belongs together.
                with self._reads.session.reading():
                    call.value = call.run(self._reads)
            except sa.exc.DBAPIError as error:
                call.error = _as_retry(error)
            except Exception as error:  # noqa: BLE001  # belongs to the caller, who gets it
                call.error = error
        return None


class Writer:
    """LedgerRunner on two threads. Several queued writes share one commit, and are answered after it."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self._callbacks: list[Callable[[int], None]] = []
        self._writing: _Writing | None = None
        self._reading: _Reading | None = None

    async def start(self) -> None:
        """Begins to work in the running event loop."""
        loop = asyncio.get_running_loop()
        session = self._ledger.session
        self._writing = _Writing(loop, self._ledger, self._tell)
        self._reading = _Reading(loop, SqlReads(Session(session.database, session.account, cache=session.cache)))
        self._writing.start()
        self._reading.start()

    async def close(self) -> None:
        """Finishes what is queued."""
        for worker in (self._writing, self._reading):
            if worker is not None:
                await worker.close()
        self._writing = self._reading = None

    async def run(self, call: Callable[[Ledger], T]) -> T:
        if self._writing is None:
            raise Retry("the ledger is not open")
        return await self._writing.submit(call)

    async def read(self, call: Callable[[LedgerReads], T]) -> T:
        if self._reading is None:
            raise Retry("the ledger is not open")
        return await self._reading.submit(call)

    def newest(self) -> Parts | None:
        return self._ledger.session.cache.newest

    def on_commit(self, callback: Callable[[int], None]) -> None:
        self._callbacks.append(callback)

    def _tell(self, version: int) -> None:
        for callback in self._callbacks:
            callback(version)


class Inline:
    """LedgerRunner without threads, for the simulation: each call is a transaction of its own, at once."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self._callbacks: list[Callable[[int], None]] = []
        self._version = -1

    async def run(self, call: Callable[[Ledger], T]) -> T:
        try:
            with self._ledger.session.transaction() as transaction:
                value = call(self._ledger)
                version = transaction.version
        except HoldfastError:
            raise
        except sa.exc.DBAPIError as error:
            raise _as_retry(error) from error
        if version is not None and version != self._version:
            self._version = version
            for callback in self._callbacks:
                callback(version)
        return value

    async def read(self, call: Callable[[LedgerReads], T]) -> T:
        with self._ledger.session.reading():
            return call(self._ledger)

    def newest(self) -> Parts | None:
        return self._ledger.session.cache.newest

    def on_commit(self, callback: Callable[[int], None]) -> None:
        self._callbacks.append(callback)
