"""The shared checks, wired to a service's shell."""

import os
from functools import partial

from holdfast_catalogue import machine
from holdfast_catalogue.doctor import edges
from holdfast_catalogue.doctor.checks import Check
from holdfast_runtime import ledger_probe
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.flows import VENUE
from holdfast_runtime.ledger_halts import ledger_url
from holdfast_runtime.ledger_probe import LedgerLook
from holdfast_runtime.service import Shell
from holdfast_runtime.settings import VenueKind
from holdfast_runtime.telemetry import traces
from holdfast_runtime.validity import ends_of


def call(shell: Shell, service: str) -> Check:
    """The way to a service that this one calls."""
    return edges.peer(service, partial(shell.answers, service, timeout_secs=edges.ANSWER_SECS))


def ledger(shell: Shell) -> Check:
    """The way to the ledger, for those that have one."""
    now = WallMarketClock().now

    def look() -> LedgerLook:
        # Read anew: the secret may have been rotated.
        return ledger_probe.look(ledger_url(shell.settings, shell.secrets), now=now)

    return edges.ledger(look, live=shell.settings.account.live)


def every_process(shell: Shell) -> list[Check]:
    """What every service leans on: bus, certificate, secrets, disk, and where there are any the collector of traces and
    the clock of the replay's venue."""
    now = WallMarketClock().now
    bus = shell.bus
    found = [
        edges.bus(lambda: bus.survey(now=now)),
        edges.certificate(lambda: ends_of(shell.mounted_identity()), now),
        edges.secrets(shell.secrets.written_at, now),
        edges.disk(lambda: machine.room(shell.settings.state_dir)),
    ]
    if shell.settings.venue.kind is VenueKind.PAPERMARKET:
        found.insert(1, call(shell, VENUE))
    if url := traces.collector(shell.settings, os.environ):
        found.append(edges.collector(url))
    return found
