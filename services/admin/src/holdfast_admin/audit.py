"""Every action of a person, kept for ever in `audit.jsonl` (bounded, rotated) and in the log."""

from collections import deque
from pathlib import Path

import structlog
from pydantic import ValidationError

from holdfast_admin.domain.views import AuditEntry
from holdfast_runtime.errors import Retry
from holdfast_runtime.rotation import BoundedFile

FILE = "audit.jsonl"
MAX_BYTES = 50_000_000
SHOWN = 500

log = structlog.get_logger()


class AuditUnavailable(Retry):
    """The audit cannot be written."""


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
