"""Adaptive weights, kept in a bucket: all 21 bands are there, else they begin anew (FP-2.1)."""

import json
from collections.abc import Callable

import structlog

from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.buckets import Bucket, RevisionConflict
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_scoring.domain.components import Weights, complete, initial_weights

GLOBAL = "global"
"""Key of the weights that hold for every symbol and regime."""
REREAD_SECS = 2.0

log = structlog.get_logger()


class WeightKeeper:
    """The weights in use. Until the bucket answers they are the initial ones."""

    def __init__(self, bucket: Bucket, *, clock: MonotonicClock, progress: Callable[[], None]) -> None:
        self._bucket = bucket
        self._clock = clock
        self._progress = progress
        self._weights: Weights = initial_weights()
        self.read_at_secs: float | None = None
        """Monotonic instant of the last reading; None before the first one."""

    @property
    def present(self) -> Weights:
        return self._weights

    async def run(self) -> None:
        """Reads the bucket every two seconds, and fills in what it lacks."""
        while True:
            try:
                await self.refresh()
            except (Retry, RevisionConflict) as error:
                log.info("weights.not_read", reason=str(error))
            self._progress()
            await self._clock.sleep(REREAD_SECS)

    async def refresh(self) -> None:
        """One reading. Raises Retry where the bucket is away, RevisionConflict where somebody else wrote first."""
        entry = await self._bucket.get(GLOBAL)
        held, renewed = complete(_parse(entry.value) if entry else {})
        if entry is None:
            await self._bucket.create(GLOBAL, _format(held))
            log.info("weights.initialised", components=len(held))
        elif renewed:
            await self._bucket.update(GLOBAL, _format(held), revision=entry.revision)
            log.warning("weights.repaired", components=renewed)
        self._weights = held
        self.read_at_secs = self._clock.now_secs()


def _parse(value: bytes) -> dict[str, object]:
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _format(weights: Weights) -> bytes:
    return json.dumps(weights, sort_keys=True).encode()
