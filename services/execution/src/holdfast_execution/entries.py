"""The entry lane: sends allowed entries in their order, as fast as the rates allow, never before what protects."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

import structlog

from holdfast_execution.books import Books, Mirror
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.lanes import Rest
from holdfast_execution.rows import IntentRow
from holdfast_execution.sales import Hands
from holdfast_execution.sender import Sender, Sent
from holdfast_execution.waiting import IDLE_TURN_SECS
from holdfast_runtime.ports.venue import Unauthorised

log = structlog.get_logger()

YIELD_SECS = 1.0
"""Entries wait so long, at most, for what reduces risk: the protective lane and the sales under way."""
LEASE_RETRY_SECS = 0.1
_AGAIN = frozenset({"LEASE_MARGIN_SHORT"})
"""Reasons not to send that pass by themselves."""


class _Due(NamedTuple):
    intent: IntentRow
    free_at: datetime


class EntryLane:
    """One entry a turn: of those decided at one instant by score, then id (order protocol, point 2)."""

    def __init__(
        self,
        books: Books,
        sender: Sender,
        hands: Hands,
        yield_first: Callable[[float], Awaitable[None]],
    ) -> None:
        self._books = books
        self._sender = sender
        self._hands = hands
        self._yield_first = yield_first
        self._delayed: set[str] = set()
        self._scores: dict[str, float] = {}
        self._sending = False
        """An entry is being sent that was claimed as it was stored: the others come after it."""

    def reserve(self, strategy: str, mirror: Mirror) -> bool:
        """True where an entry of `strategy` could leave at once, before any other. Its place is then the caller's, who
        ends that with `send_claimed` or `give_back`."""
        waits = any(each.purpose is Purpose.ENTRY and each.state is IntentState.PENDING for each in mirror.loose)
        now = self._books.now
        if waits or self._sending or self._books.locked_reason or not self._sender.may_write:
            return False
        if self._sender.free_at(strategy, now) > now:
            return False
        self._sending = True
        return True

    def give_back(self) -> None:
        """Nothing leaves by the reserved place."""
        self._sending = False
        self._books.pulse()

    def send_claimed(self, intent: IntentRow) -> Awaitable[None]:
        """Begins to send, now, what was claimed with the reserved place."""
        return self._finish_claimed(intent, self._sender.begin(intent, claimed=True))

    async def _finish_claimed(self, intent: IntentRow, sending: "asyncio.Task[Sent]") -> None:
        try:
            await self._finish(intent, await asyncio.shield(sending))
        except Unauthorised:
            log.error("entry.credentials_refused")
        finally:
            self.give_back()

    async def turn(self, mirror: Mirror) -> Rest:
        """Sends the first entry that may go now, or ends one whose time has passed."""
        waiting = [
            intent for intent in mirror.loose if intent.purpose is Purpose.ENTRY and intent.state is IntentState.PENDING
        ]
        self._delayed &= {intent.intent_id for intent in waiting}
        if not waiting:
            self._scores.clear()
            return Rest()
        if self._sending:
            # What the one under way leaves of the rates is known when it has left: that wakes this lane.
            return Rest(pending=True)
        waiting = await self._ranked(waiting)
        now = self._books.now
        for intent in waiting:
            if intent.valid_until is not None and now >= intent.valid_until:
                await self._hands.drop(
                    intent.intent_id, "RATE" if intent.intent_id in self._delayed else "CYCLE_EXPIRED"
                )
                return Rest(did=True)
        if self._books.locked_reason:
            return Rest(at=_first_end(waiting))
        due = [
            _Due(intent, max(self._sender.free_at(intent.strategy, now), intent.next_attempt_at)) for intent in waiting
        ]
        ready = next((each.intent for each in due if each.free_at <= now), None)
        if ready is None:
            self._delayed |= {each.intent.intent_id for each in due if each.intent.leg == 1}
            ends = [each.intent.valid_until for each in due if each.intent.valid_until is not None]
            return Rest(at=min([each.free_at for each in due] + ends))
        if not self._sender.may_write:
            # The next beat gives time again, and tells nobody.
            return Rest(pending=True, after_secs=LEASE_RETRY_SECS)
        return await self._send(ready)

    async def _ranked(self, waiting: list[IntentRow]) -> list[IntentRow]:
        missing = [each.signal_id for each in waiting if each.signal_id not in self._scores]
        if len(waiting) > 1 and missing:
            decisions = await self._books.read(lambda ledger: ledger.decisions(missing))
            self._scores |= {decision.signal_id: decision.score.value for decision in decisions}
        return sorted(
            waiting,
            key=lambda each: (each.created_at, -self._scores.get(each.signal_id, 0.0), each.signal_id),
        )

    async def _send(self, intent: IntentRow) -> Rest:
        await self._yield_first(YIELD_SECS)
        if self._sending:
            return Rest(pending=True)
        self._sending = True
        try:
            return await self._finish(intent, await self._sender.send(intent))
        except Unauthorised:
            return Rest()
        finally:
            self._sending = False

    async def _finish(self, intent: IntentRow, sent: Sent) -> Rest:
        if sent.refused in _AGAIN:
            return Rest(pending=True, after_secs=min(LEASE_RETRY_SECS, IDLE_TURN_SECS))
        if sent.refused:
            log.info("entry.not_sent", intent=intent.intent_id, reason=sent.refused)
            await self._hands.drop(intent.intent_id, sent.refused)
        return Rest(did=True)


def _first_end(waiting: list[IntentRow]) -> datetime | None:
    return min((each.valid_until for each in waiting if each.valid_until is not None), default=None)
