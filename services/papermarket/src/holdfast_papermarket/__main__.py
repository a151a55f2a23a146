"""papermarket's process: the recorded market on real HTTP and WebSockets, and the clock of the whole stack."""

import os
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from holdfast_exchange import recording as recordings
from holdfast_exchange import recording_told
from holdfast_exchange import replay as replays
from holdfast_exchange.combining import default_folder_of, load_defaults, load_folder
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.faults import plan as fault_plans
from holdfast_exchange.market import Market
from holdfast_papermarket.adapters.http_server import HttpServer
from holdfast_papermarket.adapters.journal_file import JournalFile
from holdfast_papermarket.adapters.recorded_files import digest_of
from holdfast_papermarket.api.access import Keys, RateLimit
from holdfast_papermarket.api.data_streams import StreamLimits
from holdfast_papermarket.api.sources import OutsideSources
from holdfast_papermarket.app import build_app
from holdfast_papermarket.lockstep import MarketClock
from holdfast_papermarket.opening import begun_with, exchange_config
from holdfast_papermarket.venue import PaperVenue
from holdfast_runtime.clock import VenueMarketClock
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.ports.calls import MarketClockCalls
from holdfast_runtime.secrets import SecretStore
from holdfast_runtime.service import Shell, run

WITHOUT_RUN_ID = "alone"
FLOW_KEY, INTELLIGENCE_KEY = "UNUSUAL_WHALES_API_KEY", "COINGLASS_API_KEY"

log = structlog.get_logger()


async def build(shell: Shell) -> None:
    """Wiring only."""
    settings, books = shell.settings.replay, shell.settings.active_books
    run_id = os.environ.get("HOLDFAST_RUN_ID", "")
    try:
        if settings.recording is None:
            combined = load_defaults(books, symbols=settings.symbols)
        else:
            combined = load_folder(settings.recording, books, symbols=settings.symbols, now=_begun_at(run_id))
        recording = combined.recording
        replay = replays.plan(recording, start=settings.start, end=settings.end)
    except recordings.RecordingInvalid as error:
        raise AskPerson(str(error), steps=("Correct replay.* in the configuration, or the recording.",)) from error
    notes = (*combined.notes, *recording_told.notes(recording, replay))
    found = recording_told.told(recording, replay)
    log.info("recording.loaded", bars=found["bars"], quarantined=found["quarantined"]["rules"], notes=list(notes))
    config = exchange_config(settings, recording.symbols)
    folders = [default_folder_of(book) for book in books] if settings.recording is None else [settings.recording]
    journal = JournalFile(
        shell.settings.state_dir / "papermarket" / f"{run_id or WITHOUT_RUN_ID}.journal",
        run=begun_with(run_id, settings, replay, books=books, recorded=digest_of(folders)),
        # Without an id nobody can mean to go on with an earlier run.
        fresh=not run_id,
    )
    exchange = Exchange(run_id or WITHOUT_RUN_ID, Market(recording, replay.begin), config)
    venue = PaperVenue(exchange, replay, journal, resend_on_subscribe=settings.speed == 0)
    if settings.faults is not None and not journal.lines:
        _arm(venue, settings.faults)
    market_clock = shell.market_clock
    assert isinstance(market_clock, VenueMarketClock)
    clock = MarketClock(
        venue,
        run_id=run_id,
        roster=settings.roster,
        speed=settings.speed,
        monotonic_clock=shell.monotonic_clock,
        progress=shell.progress("market-clock"),
        on_tick=partial(_set_clock, market_clock),
    )
    keys = Keys(shell.secrets.get("ALPACA_API_KEY").reveal(), shell.secrets.get("ALPACA_SECRET_KEY").reveal())
    limit = RateLimit(settings.speed, shell.monotonic_clock.now_secs, time.time)
    host, _, port = shell.listens_on("papermarket.http").rpartition(":")
    server = HttpServer(
        build_app(
            venue,
            clock,
            recording,
            run_id=run_id,
            keys=keys,
            limit=limit,
            streams=StreamLimits(max_symbols=settings.stream_symbols or None),
            sources=OutsideSources(
                seed=settings.seed,
                flow_token=_key_of(shell.secrets, FLOW_KEY, keys),
                intelligence_key=_key_of(shell.secrets, INTELLIGENCE_KEY, keys),
            ),
            notes=notes,
        ),
        host=host,
        port=int(port),
    )
    shell.serve(MarketClockCalls, clock)
    shell.loop("http", server.run)
    shell.loop("market-clock", clock.run)
    shell.ready_when(lambda: server.started)
    shell.on_stop(server.stop)
    shell.on_stop(clock.stop)


def _key_of(secrets: SecretStore, name: str, keys: Keys) -> str:
    """What an outside source asks for: its own secret where there is one, else the account's key."""
    own = secrets.optional(name)
    return keys.key if own is None else own.reveal()


def _set_clock(market_clock: VenueMarketClock, at: datetime, speed: float) -> None:
    market_clock.set(at, speed=speed)


def _arm(venue: PaperVenue, file: Path) -> None:
    try:
        venue.faults.desk.arm(fault_plans.load(file))
    except fault_plans.PlanRefused as error:
        raise AskPerson(str(error), steps=("Correct the file that replay.faults names.",)) from error


def _begun_at(run_id: str) -> datetime | None:
    """When the run was begun, as its id says: what is recorded of a later time is no fact, today or after a restart."""
    try:
        return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


if __name__ == "__main__":
    run("papermarket", build)
