"""papermarket inside another process's event loop: the same venue on real sockets, ticked by its owner.

For contract tests and for trying things out; a stack runs `python -m holdfast_papermarket`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.recording import Recording
from holdfast_exchange.replay import plan
from holdfast_papermarket.adapters.http_server import HttpServer
from holdfast_papermarket.adapters.journal_file import JournalFile
from holdfast_papermarket.api.access import Keys, RateLimit
from holdfast_papermarket.api.data_streams import StreamLimits
from holdfast_papermarket.api.sources import OutsideSources
from holdfast_papermarket.app import build_app
from holdfast_papermarket.lockstep import MarketClock
from holdfast_papermarket.venue import PaperVenue
from holdfast_runtime.clock import SystemMonotonicClock

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A venue that is listening. `clock.step()` is the next tick."""

    venue: PaperVenue
    clock: MarketClock
    keys: Keys
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def trading_stream_url(self) -> str:
        return f"ws://{HOST}:{self.port}/stream"

    @property
    def data_stream_url(self) -> str:
        return f"ws://{HOST}:{self.port}/v2/iex"

    @property
    def crypto_stream_url(self) -> str:
        return f"ws://{HOST}:{self.port}/v1beta3/crypto/us"

    def step_to(self, instant: datetime) -> None:
        """Ticks until the data of `instant` is visible."""
        while self.venue.exchange.market.released < instant and not self.venue.ended:
            self.clock.step()


@asynccontextmanager
async def embedded(
    recording: Recording,
    folder: Path,
    *,
    start: str = "",
    end: str = "",
    run_id: str = "embedded",
    roster: tuple[str, ...] = (),
    speed: float = 0.0,
    config: ExchangeConfig | None = None,
    streams: StreamLimits | None = None,
    seed: int = 1,
) -> AsyncIterator[Embedded]:
    """Starts a venue on a free port and stops it in the end. Its journal is in `folder`: the same `run_id` goes on."""
    replay = plan(recording, start=start, end=end)
    exchange = Exchange(run_id, Market(recording, replay.begin), config or ExchangeConfig())
    journal = JournalFile(folder / f"{run_id}.journal", run={"run_id": run_id})
    venue = PaperVenue(exchange, replay, journal, resend_on_subscribe=speed == 0)
    monotonic = SystemMonotonicClock()
    clock = MarketClock(venue, run_id=run_id, roster=roster, speed=speed, monotonic_clock=monotonic)
    keys = Keys("embedded-key", "embedded-secret")
    limit = RateLimit(speed, monotonic.now_secs, time.time)
    sources = OutsideSources(seed=seed, flow_token=keys.key, intelligence_key=keys.key)
    app = build_app(venue, clock, recording, run_id=run_id, keys=keys, limit=limit, streams=streams, sources=sources)
    server = HttpServer(app, host=HOST, port=0)
    serving = asyncio.create_task(server.run())
    try:
        await server.until_started()
        yield Embedded(venue=venue, clock=clock, keys=keys, port=server.port)
    finally:
        await server.stop()
        await serving
        journal.close()
