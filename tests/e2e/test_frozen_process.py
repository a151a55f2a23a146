"""A process that stands still is found by its liveness alone, and the kubelet restarts it (FP-6.3)."""

import pytest

from tests.e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

TO_PROCESS = """
import os, pathlib, signal, sys
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and int(entry.name) != os.getpid():
        words = (entry / "cmdline").read_bytes().split(b"\\0")
        if sys.argv[1].encode() in words:
            os.kill(int(entry.name), signal.Signals[sys.argv[2]])
            print(entry.name)
"""


def send(release: Release, pod: str, service: str, signal: str) -> None:
    """A signal to the service's process, from beside it in its container."""
    told = release.cluster.execute(pod, "python", "-c", TO_PROCESS, f"holdfast_{service}", signal)
    assert told.split(), f"no process of {service} was found in {pod}"


@pytest.mark.parametrize("service", ["signal", "scoring"])
def test_a_frozen_service_is_restarted_by_the_kubelet(service: str, release: Release) -> None:
    before = release.restarts(service)
    with release.disturbed(f"freeze {service}", until=lambda: release.restarts(service) > before):
        send(release, release.pod(service), service, "SIGSTOP")


def test_a_blocked_loop_is_restarted_by_the_kubelet(release: Release) -> None:
    """A user's strategy that never comes back: the process lives and takes signals, but none of its loops moves."""
    before = release.restarts("signal")
    with release.disturbed("block signal's loop", until=lambda: release.restarts("signal") > before):
        release.cluster.execute(release.pod("signal"), "python", "-c", "open('/tmp/block', 'x')")


def test_a_frozen_holder_is_fenced_and_its_standby_trades_on(release: Release) -> None:
    """SQ-5: the standby holds the account long before the kubelet restarts the frozen one."""
    before, holder = release.restarts("execution"), release.holder()
    with release.disturbed("freeze the holder of the account", until=lambda: release.restarts("execution") > before):
        send(release, holder.pod, "execution", "SIGSTOP")
    assert release.holder().epoch > holder.epoch


def test_the_account_passes_to_the_standby_when_its_holder_is_killed(release: Release) -> None:
    """SQ-5: without a farewell; the standby sees the beat stand still and takes over under the next epoch."""
    holder = release.holder()
    with release.disturbed("kill -9 the holder of the account", until=lambda: release.holder().epoch > holder.epoch):
        send(release, holder.pod, "execution", "SIGKILL")
    assert release.holder().process != holder.process
