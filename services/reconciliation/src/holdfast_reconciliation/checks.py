"""Reconciliation's edges."""

from functools import partial

from holdfast_catalogue.doctor import venue
from holdfast_catalogue.doctor.checks import Check
from holdfast_catalogue.doctor.of_shell import call
from holdfast_runtime.service import Shell
from holdfast_venue.factory import access_of, broker_to_examine


def checks(shell: Shell) -> list[Check]:
    """The ledger's owner, and the broker by a client of its own."""
    opened = partial(
        broker_to_examine,
        shell.settings,
        shell.secrets,
        access=access_of(shell.secrets),
        monotonic_clock=shell.monotonic_clock,
    )
    return [call(shell, "execution"), venue.broker(opened)]
