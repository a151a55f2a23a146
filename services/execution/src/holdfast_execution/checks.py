"""Execution's edges."""

from functools import partial

from holdfast_catalogue.doctor import venue
from holdfast_catalogue.doctor.checks import Check
from holdfast_catalogue.doctor.of_shell import call, ledger
from holdfast_core.sessions import calendar_of
from holdfast_execution.engine import Engine
from holdfast_execution.lease import LeaseKeeper
from holdfast_runtime.service import Shell
from holdfast_runtime.settings import Book, VenueKind
from holdfast_venue.factory import access_of, broker_to_examine


def checks(shell: Shell, engine: Engine, lease: LeaseKeeper) -> list[Check]:
    """The ledger, the broker with its clock and calendar, its trade updates, and signal for the stop monitor."""
    settings = shell.settings
    opened = partial(
        broker_to_examine,
        settings,
        shell.secrets,
        access=access_of(shell.secrets),
        monotonic_clock=shell.monotonic_clock,
    )
    own_clock = settings.venue.kind is not VenueKind.PAPERMARKET
    found = [
        call(shell, "signal"),
        ledger(shell),
        venue.broker(opened),
        venue.stream("trade updates", lambda: engine.stream_up if lease.is_holder else None),
        venue.clock(opened, shell.market_clock, own_clock=own_clock),
    ]
    if Book.EQUITY in settings.active_books:
        found.append(venue.calendar(opened, calendar_of(Book.EQUITY)))
    return found
