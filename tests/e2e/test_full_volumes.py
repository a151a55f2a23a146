"""The volumes of NATS and of PostgreSQL full: trading waits in a safe state that is named, and goes on once there is
room again (FP-6.2)."""

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.release import CRAMPED_FOLDER, NAME, READY_SECS, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
FILE = f"{CRAMPED_FOLDER}/full"
FILL = f"cat /dev/zero > {FILE} 2>/dev/null; test -s {FILE}"
EMPTY = f"rm -f {FILE} && echo emptied"


@pytest.mark.parametrize(("store", "named"), [("nats", "bus"), ("postgresql", "ledger")])
def test_a_volume_that_is_full_is_named_and_waited_for(store: str, named: str, cramped: Release) -> None:
    def beside(command: str) -> str:
        """A command in the store's pod, beside the store."""
        return cramped.cluster.kubectl("exec", f"{NAME}-{store}-0", "--container", "reload", "--", "sh", "-c", command)

    with cramped.disturbed(f"the volume of {store} full until it is named, and emptied"):
        beside(FILL)

        def told() -> bool:
            words = cramped.open_points()
            return words.startswith("RED") and named in words

        try:
            eventually(told, f"`holdfast ready` is RED and names {named}", READY_SECS)
        finally:
            eventually(lambda: beside(EMPTY), f"room in the volume of {store}", READY_SECS)
