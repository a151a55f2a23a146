"""Wiring of the admin service."""

import os
import secrets

from holdfast_admin import doctors
from holdfast_admin.adapters.halt_ledger import HaltLedger
from holdfast_admin.adapters.heartbeat import Heartbeat
from holdfast_admin.adapters.http_server import HttpServer
from holdfast_admin.adapters.peer_health import PeerHealth
from holdfast_admin.adapters.release import Release
from holdfast_admin.audit import Audit, Journal
from holdfast_admin.checks import checks
from holdfast_admin.claims import ClaimDesk
from holdfast_admin.domain.sources import Sources
from holdfast_admin.gauges import keep_gauges
from holdfast_admin.operations import Operations
from holdfast_admin.readers import Readers
from holdfast_admin.reconnection import Reconnection
from holdfast_admin.release_watch import ReleaseWatch
from holdfast_admin.strategies import StrategyDesk
from holdfast_admin.watches import watches
from holdfast_admin.web.access import Access
from holdfast_admin.web.app import build_app
from holdfast_admin.web.context import Context
from holdfast_catalogue.collector import Collector
from holdfast_catalogue.doctor.clinic import Clinic
from holdfast_catalogue.doctor.examiner import BUCKET as DOCTOR_BUCKET
from holdfast_catalogue.guard import stand_guard
from holdfast_catalogue.reports import BUCKET
from holdfast_core.sessions import calendar_of
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.ledger_halts import ledger_url
from holdfast_runtime.ports.calls import DoctorCalls, ExecutionCalls, FailurePointCalls, PricesCalls
from holdfast_runtime.service import Shell, run

TOKEN = "ADMIN_TOKEN"
OPERATOR = "operator"
"""Identity of the person at the terminal."""
SESSION_ID_BYTES = 32


async def build(shell: Shell) -> None:
    """Wires the service."""
    settings, sources, bus = shell.settings, Sources(), shell.bus
    # Refuses to start without a token.
    shell.secrets.get(TOKEN)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    books = set(settings.active_books)
    calendar = calendar_of("crypto" if books == {"crypto"} else "equity")
    wall = WallMarketClock()
    execution = shell.remote(ExecutionCalls, "execution")
    readers = Readers(
        sources,
        settings=settings,
        bus=bus,
        execution=execution,
        prices=shell.remote(PricesCalls, "signal"),
        market_clock=shell.market_clock,
        monotonic_clock=shell.monotonic_clock,
        wall_clock=wall,
        calendar=calendar,
    )
    peers = PeerHealth(
        sources,
        endpoints=settings.endpoints,
        bus_answers=lambda: sources.bus.up,
        clock=shell.monotonic_clock,
        wall_clock=wall,
    )
    audit = Audit(settings.state_dir)
    journal = Journal(audit, market_clock=shell.market_clock, wall_clock=wall)
    operations = Operations(
        sources,
        halts=HaltLedger(lambda: ledger_url(settings, shell.secrets), settings.account.id),
        execution=execution,
        journal=journal,
        market_clock=shell.market_clock,
        wall_clock=wall,
        changed=readers.refresh_soon,
    )
    access = Access(
        token=lambda: shell.secrets.get(TOKEN),
        clock=shell.monotonic_clock,
        new_id=lambda: secrets.token_urlsafe(SESSION_ID_BYTES),
    )
    release = ReleaseWatch(Release(os.environ), shell.monotonic_clock)
    guard = stand_guard(shell, watches(shell.monotonic_clock, release), checks(shell, release))
    collector = Collector(
        shell.bucket(BUCKET), service="admin", own=guard.sentinel.messages, clock=shell.monotonic_clock, wall=wall
    )
    clinic = Clinic(
        shell.bucket(DOCTOR_BUCKET), guard.examiner, speaking=collector.speaking, clock=shell.monotonic_clock
    )
    context = Context(
        settings=settings,
        sources=sources,
        operations=operations,
        strategies=StrategyDesk(sources, execution=execution, journal=journal, changed=readers.refresh_soon),
        claims=ClaimDesk(execution=execution, journal=journal, changed=readers.refresh_soon),
        reconnection=Reconnection(
            sources, clinic=clinic, operations=operations, journal=journal, clock=shell.monotonic_clock
        ),
        audit=audit,
        access=access,
        market_clock=shell.market_clock,
        wall_clock=wall,
        calendar=calendar,
        failure_points=collector.points,
        clinic=clinic,
    )
    server = HttpServer(build_app(context), host=settings.admin.host, port=settings.admin.port)

    async def close_audit() -> None:
        audit.close()

    shell.loop("read-facts", lambda: readers.read_facts(shell.progress("read-facts")))
    shell.loop("read-bars", lambda: readers.read_bars(shell.progress("read-bars")))
    shell.loop("watch-bus", lambda: readers.watch_bus(shell.progress("watch-bus")))
    shell.loop("watch-prices", lambda: readers.watch_prices(shell.progress("watch-prices")))
    shell.loop("watch-execution", lambda: readers.watch_execution(shell.progress("watch-execution")))
    shell.loop("watch-health", lambda: peers.run(shell.progress("watch-health")))
    shell.loop(
        "watch-halts", lambda: operations.watch_halts(shell.progress("watch-halts"), shell.monotonic_clock)
    )  # fmt: skip
    shell.loop(
        "gauges",
        lambda: keep_gauges(
            sources,
            shell.progress("gauges"),
            market_clock=shell.market_clock,
            clock=shell.monotonic_clock,
            calendar=calendar,
        ),
    )
    shell.loop("failure-points", lambda: collector.run(shell.progress("failure-points")))
    heartbeat = Heartbeat(
        settings.alerts.heartbeat_url, light=lambda: collector.readiness().light, clock=shell.monotonic_clock, wall=wall
    )
    shell.loop("release", lambda: release.run(shell.progress("release")))
    shell.loop("heartbeat", lambda: heartbeat.run(shell.progress("heartbeat")))
    shell.loop("examinations", lambda: clinic.run(shell.progress("examinations")))
    shell.serve(FailurePointCalls, collector, allow={"list_failure_points": {OPERATOR}})
    shell.serve(DoctorCalls, doctors.Doctor(clinic, operations), allow={"examine": {OPERATOR}})
    shell.loop("http", lambda: server.run(shell.progress("http")))
    shell.on_stop(close_audit)
    shell.on_stop(server.stop)
    shell.ready_when(lambda: server.started)


if __name__ == "__main__":
    run("admin", build)
