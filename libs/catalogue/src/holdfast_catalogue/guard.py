"""What a service's `__main__` calls: builds its sentinel on the shell, and lets it report."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast_catalogue.doctor.checks import Check
from holdfast_catalogue.doctor.examiner import BUCKET as DOCTOR_BUCKET
from holdfast_catalogue.doctor.examiner import Examiner
from holdfast_catalogue.doctor.of_shell import every_process
from holdfast_catalogue.process import CRASHES_WITHIN, Process, process_watches
from holdfast_catalogue.registry import of_service
from holdfast_catalogue.reports import BUCKET, Reporter
from holdfast_catalogue.sentinel import Sentinel, Watch
from holdfast_core.sessions import calendar_of
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.service import Shell

EXIT_TO_BE_RESTARTED = 75
"""The process ends in order so that its controller starts it again with fresh memory (FP-6.5)."""


class WatchMissing(ValueError):
    """A service does not watch exactly the points that the catalogue gives it."""


def check_complete(service: str, watches: Iterable[Watch]) -> None:
    """Raises WatchMissing naming what is missing or foreign: no point of the catalogue may be without its detector."""
    watched = [watch.point.id for watch in watches]
    wanted = [each.id for each in of_service(service)]
    missing, foreign = sorted(set(wanted) - set(watched)), sorted(set(watched) - set(wanted))
    if missing or foreign:
        raise WatchMissing(f"{service}: not watched {missing}, not its own {foreign}")


@dataclass(frozen=True, slots=True)
class Guard:
    """Who knows how this process stands: `sentinel` its failure points, `examiner` its edges."""

    sentinel: Sentinel
    examiner: Examiner


def stand_guard(shell: Shell, watches: Iterable[Watch], checks: Iterable[Check]) -> Guard:
    """Watches the service's own points and those of every process, and examines its edges: the `checks` of its own and
    those of every process."""

    async def restart() -> None:
        shell.over(EXIT_TO_BE_RESTARTED)

    bus, clock = shell.bus, shell.monotonic_clock

    def bus_trouble() -> str:
        if not bus.connected:
            return "not connected"
        # A server that hangs keeps its connections: only an answer proves that it works.
        return "" if reporter.answered else "it does not answer"

    process = Process(
        clock=clock,
        bus_trouble=bus_trouble,
        health=shell.health,
        secrets=shell.secrets,
        state_dir=shell.settings.state_dir,
        restart=restart,
        certificate_kept=lambda: shell.certificates.kept,
        bus_denied=lambda: bus.link.denied,
        examined=lambda: examiner.newest,
        crashes=lambda: shell.starts.recent(WallMarketClock().now(), CRASHES_WITHIN),
    )
    own = [*watches, *process_watches(process)]
    check_complete(shell.name, own)
    reporter = Reporter(
        shell.name,
        socket.gethostname(),
        bus=bus,
        bucket=shell.bucket(BUCKET),
        clock=clock,
        points=lambda: sentinel.messages(),
    )
    sentinel = Sentinel(shell.name, own, clock=clock, wall=WallMarketClock(), listener=reporter)
    examiner = Examiner(
        shell.name,
        socket.gethostname(),
        [*checks, *every_process(shell)],
        bucket=shell.bucket(DOCTOR_BUCKET),
        clock=clock,
        wall=WallMarketClock(),
        market=shell.market_clock,
        calendars=[calendar_of(book) for book in shell.settings.active_books],
        ready=lambda: shell.health.ready,
        must_repeat=shell.settings.in_lockstep,
    )
    shell.loop("sentinel", lambda: sentinel.run(shell.progress("sentinel")))
    shell.loop("reports", lambda: reporter.run(shell.progress("reports")))
    shell.loop("doctor", lambda: examiner.run(shell.progress("doctor")))
    return Guard(sentinel, examiner)
