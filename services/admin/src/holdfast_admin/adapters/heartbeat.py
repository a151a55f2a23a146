"""The dead man's switch: a sign of life while nothing blocks trading; its absence is the alarm (IN-3)."""

from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import structlog

from holdfast_catalogue.readiness import Light
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.secrets import register_secret
from holdfast_runtime.telemetry import metrics

LOOK_EVERY_SECS = 5.0
ASK_EVERY_SECS = 60.0
TIMEOUT_SECS = 10.0

log = structlog.get_logger()


class Heartbeat:
    """Sets the metric, and asks `url` where one is given. While the light is RED neither is done."""

    def __init__(self, url: str, *, light: Callable[[], Light], clock: MonotonicClock, wall: MarketClock) -> None:
        self._url = url
        self._light = light
        self._clock = clock
        self._wall = wall
        self._due_secs = clock.now_secs()
        # Such an address is the only key that its service asks for.
        register_secret(urlsplit(url).path.strip("/"))

    async def run(self, progress: Callable[[], None]) -> None:
        """Beats until cancelled."""
        async with httpx.AsyncClient(timeout=TIMEOUT_SECS) as client:
            while True:
                await self.turn(client)
                progress()
                await self._clock.sleep(LOOK_EVERY_SECS)

    async def turn(self, client: httpx.AsyncClient) -> None:
        """One look."""
        if self._light() is Light.RED:
            return
        metrics.HEARTBEAT.set(self._wall.now().timestamp())
        if not self._url or self._clock.now_secs() < self._due_secs:
            return
        self._due_secs = self._clock.now_secs() + ASK_EVERY_SECS
        try:
            (await client.get(self._url)).raise_for_status()
        except httpx.HTTPError as error:
            # Whoever waits for the beat raises the alarm; here it is only written down.
            log.warning("heartbeat.not_taken", error=type(error).__name__)
