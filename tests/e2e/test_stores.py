"""NATS and PostgreSQL away and back: trading waits in a safe state that is named, and goes on (FP-6.2)."""

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.release import READY_SECS, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.mark.parametrize(("store", "named"), [("nats", "bus.away"), ("postgresql", "ledger")])
def test_a_store_that_is_away_is_named_and_waited_for(store: str, named: str, release: Release) -> None:
    """A bus without a leader and a database without a server look the same from here: nobody answers."""
    cluster, workload = release.cluster, f"statefulset/holdfast-{store}"
    with release.disturbed(f"{store} away until it is named, and started again"):
        cluster.kubectl("scale", workload, "--replicas=0")

        def told() -> bool:
            words = release.open_points()
            return words.startswith("RED") and named in words

        try:
            eventually(told, f"`holdfast ready` is RED and names {named}", READY_SECS)
        finally:
            cluster.kubectl("scale", workload, "--replicas=1")
