"""Every action of a person, kept for ever in `audit.jsonl` (bounded, rotated) and in the log."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import ValidationError

from holdfast_admin.domain.projection import NEVER
from holdfast_admin.domain.views import AuditEntry
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.telemetry import metrics

FILE = "audit.jsonl"
MAX_BYTES = 50_000_000
SHOWN = 500

log = structlog.get_logger()


class AuditUnavailable(Retry):
    """The audit cannot be written."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts: the name given at login or with the call, and from where. The token is the same for all."""

    name: str
    via: str
    remote: str


class Audit:
    """Append-only. The newest entries are kept in memory for the page."""

    def __init__(self, state_dir: Path) -> None:
        self._file = BoundedFile(state_dir / FILE, max_bytes=MAX_BYTES)
        self._entries: deque[AuditEntry] = deque(_tail(state_dir / FILE), maxlen=SHOWN)

    def record(self, entry: AuditEntry) -> None:
        """Keeps one entry. Raises AuditUnavailable where the disk refuses; the log has it all the same."""
        self._entries.append(entry)
        log.info(
            "admin.action",
            action=entry.action,
            who=entry.who,
            via=entry.via,
            remote=entry.remote,
            what=entry.what,
            result=entry.result,
            detail=entry.detail,
        )
        try:
            self._file.write(entry.model_dump_json().encode())
        except OSError as error:
            log.error("admin.audit_unwritable", error=str(error))
            raise AuditUnavailable(f"the audit cannot be written: {error.strerror}") from error

    def newest(self, limit: int = SHOWN) -> list[AuditEntry]:
        """Newest first."""
        return list(reversed(self._entries))[:limit]

    def close(self) -> None:
        self._file.close()


class Journal:
    """Writes down what people do: who, when by the wall and the market, and what came of it."""

    def __init__(self, audit: Audit, *, market_clock: MarketClock, wall_clock: MarketClock) -> None:
        self._audit = audit
        self._market_clock = market_clock
        self._wall = wall_clock

    def record(self, person: Person, action: str, what: str, result: str, detail: str = "") -> None:
        """`result`: requested, ok, refused or failed. Raises AuditUnavailable."""
        metrics.ADMIN_ACTIONS.labels(action=action, result=result).inc()
        now = self._market_clock.now()
        self._audit.record(
            AuditEntry(
                at=self._wall.now(),
                who=person.name,
                via=person.via,
                remote=person.remote,
                action=action,
                what=what,
                result=result,
                detail=detail,
                market_time=now if now > NEVER else None,
            )
        )

    def record_or_go_on(self, person: Person, action: str, what: str, result: str, detail: str = "") -> None:
        """The same of what must not wait for the disk."""
        try:
            self.record(person, action, what, result, detail)
        except AuditUnavailable:
            # The log has the entry, and that the file refused it.
            return


def _tail(path: Path) -> list[AuditEntry]:
    """The last entries of the file; a line torn by a crash is passed over."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - SHOWN * 1_000))
            lines = file.read().splitlines()[-SHOWN:]
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(AuditEntry.model_validate_json(line))
        except ValidationError:
            log.warning("admin.audit_line_torn", bytes=len(line))
    return found
