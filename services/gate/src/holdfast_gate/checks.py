"""The gate's edges."""

from holdfast_catalogue.doctor.checks import Check
from holdfast_catalogue.doctor.of_shell import call
from holdfast_runtime.service import Shell


def checks(shell: Shell) -> list[Check]:
    """Whom the gate calls: the ledger's owner for snapshots and submits, signal for prices."""
    return [call(shell, "execution"), call(shell, "signal")]
