"""Admin's edges."""

from holdfast_admin.release_watch import ReleaseWatch
from holdfast_catalogue.doctor.checks import Check
from holdfast_catalogue.doctor.of_shell import call, ledger
from holdfast_runtime.service import Shell


def checks(shell: Shell, release: ReleaseWatch) -> list[Check]:
    """The ledger's owner and the ledger itself, for the kill switch; signal for prices; the cluster for the release."""
    return [call(shell, "execution"), call(shell, "signal"), ledger(shell), release.check()]
