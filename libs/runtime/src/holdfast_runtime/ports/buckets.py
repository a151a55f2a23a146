"""Small shared values that can be rebuilt: decide on a compare-and-swap that succeeded, never on a read (DI-2)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from holdfast_runtime.errors import HoldfastError


class RevisionConflict(HoldfastError):
    """Somebody else wrote first: read again and decide anew (BS-5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A value and the revision that fences it."""

    key: str
    value: bytes
    revision: int


class Bucket(Protocol):
    """One key-value bucket."""

    async def get(self, key: str) -> Entry | None:
        """The value as last seen: may be stale."""

    async def create(self, key: str, value: bytes) -> int:
        """Writes where the key must not exist; returns the revision. Raises RevisionConflict."""

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Writes where the key is still at `revision`; returns the new one. Raises RevisionConflict."""

    async def keys(self) -> list[str]:
        """All keys, sorted."""

    def watch(self) -> AsyncIterator[Entry]:
        """Every entry as it is now, then each change; re-read every 2 s beside the watcher, since watchers stall."""
