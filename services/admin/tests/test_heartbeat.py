"""IN-3: a sign of life from outside to be watched, given only while nothing blocks trading."""

import httpx

from holdfast_admin.adapters.heartbeat import ASK_EVERY_SECS, Heartbeat
from holdfast_catalogue.readiness import Light
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.telemetry import metrics
from holdfast_simulation.manual_clock import ManualMonotonicClock

URL = "https://beats.example/ping/5d4c1b9e"


def beat() -> float:
    return metrics.HEARTBEAT._value.get()


class Outside:
    """Whoever waits for the beat."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.clock = ManualMonotonicClock()
        self.light = Light.GREEN

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return httpx.Response(self.status)

    def heart(self, url: str = URL) -> Heartbeat:
        return Heartbeat(url, light=lambda: self.light, clock=self.clock, wall=WallMarketClock())


async def test_it_beats_every_minute_while_all_is_well() -> None:
    outside = Outside()
    heart = outside.heart()
    for _ in range(3):
        await heart.turn(outside.client)
    assert outside.asked == [URL]
    outside.clock.advance(ASK_EVERY_SECS)
    await heart.turn(outside.client)
    assert outside.asked == [URL, URL]


async def test_while_trading_is_blocked_it_is_silent() -> None:
    outside = Outside()
    heart = outside.heart()
    metrics.HEARTBEAT.set(0)
    outside.light = Light.RED
    await heart.turn(outside.client)
    assert (outside.asked, beat()) == ([], 0)
    outside.light = Light.YELLOW
    await heart.turn(outside.client)
    assert outside.asked == [URL]
    assert beat() > 0


async def test_without_an_address_the_metric_alone_is_given() -> None:
    outside = Outside()
    metrics.HEARTBEAT.set(0)
    await outside.heart("").turn(outside.client)
    assert outside.asked == []
    assert beat() > 0


async def test_an_address_that_refuses_disturbs_nothing() -> None:
    outside = Outside()
    outside.status = 503
    heart = outside.heart()
    await heart.turn(outside.client)
    await heart.turn(outside.client)
    assert outside.asked == [URL]
