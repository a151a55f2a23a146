"""How one failure point stands: a pure state machine from findings to what has to be told.

Instants are wall time, for people; durations are monotonic seconds, given by the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.points import FailurePoint
from holdfast_runtime.wire import to_timestamp

FIRST_BACKOFF_SECS = 2.0
MAX_BACKOFF_SECS = 60.0
REMIND_SECS = 900.0
"""An unresolved point is told again after so long (MO-2)."""
MAX_EVIDENCE = 500


class Status(IntEnum):
    """Numbers as in the contract; the higher the worse."""

    OK = pb.STATUS_OK
    WARN = pb.STATUS_WARN
    ERROR = pb.STATUS_ERROR


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector saw: the status, one sentence of evidence, and the quantities to show."""

    status: Status
    evidence: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)


def ok(evidence: str = "", **shown: object) -> Finding:
    return Finding(Status.OK, evidence, {name: str(value) for name, value in shown.items()})


def warn(evidence: str, **shown: object) -> Finding:
    return Finding(Status.WARN, evidence, {name: str(value) for name, value in shown.items()})


def error(evidence: str, **shown: object) -> Finding:
    return Finding(Status.ERROR, evidence, {name: str(value) for name, value in shown.items()})


class Event(Enum):
    """What has to be told after a finding."""

    CHANGED = "changed"
    HEALED = "healed"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    """It had been escalated, and is OK again."""


@dataclass(slots=True)
class Standing:
    """The live status of one point in one process."""

    point: FailurePoint
    finding: Finding | None = None
    since: datetime | None = None
    last_check: datetime | None = None
    attempts: int = 0
    """Healing attempts of the present incident."""
    heals: int = 0
    """Incidents that ended by a healer, since the process began (MO-3); coming up for the first time is none."""
    _bad_since_secs: float | None = None
    _next_attempt_secs: float = 0.0
    _told_secs: float | None = None
    _was_ok: bool = False

    @property
    def bad(self) -> bool:
        """WARN or ERROR, and no block on purpose."""
        return self.finding is not None and self.finding.status is not Status.OK and not self.point.intentional

    def note(self, finding: Finding, *, at: datetime, now_secs: float) -> list[Event]:
        """Takes a finding in; returns what to tell. Escalation is asked for with `escalate`, after healing."""
        before = self.finding
        self.finding, self.last_check = finding, at
        events: list[Event] = []
        if before is None or before.status is not finding.status:
            self.since = at
            events.append(Event.CHANGED)
        if self.bad:
            if self._bad_since_secs is None:
                self._bad_since_secs, self._next_attempt_secs = now_secs, now_secs
                self.attempts = 0
        elif self._bad_since_secs is not None:
            self._bad_since_secs = None
            if self.point.healer and (self._was_ok or self.attempts):
                self.heals += 1
                events.append(Event.HEALED)
            if self._told_secs is not None:
                self._told_secs = None
                events.append(Event.RESOLVED)
        self._was_ok = self._was_ok or finding.status is Status.OK
        return events

    def may_heal(self, now_secs: float) -> bool:
        """True where the sentinel's own healer has an attempt left and its backoff is over."""
        return self.bad and self.attempts < self.point.max_attempts and now_secs >= self._next_attempt_secs

    def began_attempt(self, now_secs: float) -> None:
        """One more attempt; the next one waits twice as long."""
        wait_secs = min(FIRST_BACKOFF_SECS * 2**self.attempts, MAX_BACKOFF_SECS)
        self.attempts += 1
        self._next_attempt_secs = now_secs + wait_secs

    def escalate(self, now_secs: float) -> bool:
        """True where a person has to be told now: an ERROR that its healer did not end in its bounds (SH-2)."""
        if not self.bad or self.finding is None or self.finding.status is not Status.ERROR:
            return False
        if self._told_secs is not None and now_secs - self._told_secs < REMIND_SECS:
            return False
        if not self._healer_spent(now_secs):
            return False
        self._told_secs = now_secs
        return True

    def _healer_spent(self, now_secs: float) -> bool:
        if self.point.max_attempts:
            return self.attempts >= self.point.max_attempts
        if self.point.healer:
            since_secs = now_secs if self._bad_since_secs is None else self._bad_since_secs
            return now_secs - since_secs >= self.point.heal_within_secs
        return True

    def message(self, owner: str) -> pb.FailurePoint:
        """The point as it travels; `owner` is the service that watches it."""
        finding = self.finding
        return pb.FailurePoint(
            id=self.point.id,
            title=self.point.title,
            owner=owner,
            severity=self.point.severity.value,
            priority=self.point.priority,
            covers=self.point.covers,
            status=pb.STATUS_UNSPECIFIED if finding is None else pb.Status.ValueType(finding.status),
            since=to_timestamp(self.since),
            last_check=to_timestamp(self.last_check),
            evidence="" if finding is None else finding.evidence[:MAX_EVIDENCE],
            heal_attempts=self.attempts,
            heals=self.heals,
            manual_steps=self.point.manual_steps,
            shown={} if finding is None else dict(finding.shown),
            intentional=self.point.intentional,
        )
