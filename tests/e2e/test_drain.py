"""Draining the node: the disruption budget refuses what would leave no execution, and all comes back (PR-1)."""

import pytest

from tests.e2e.cluster import CommandFailed
from tests.e2e.release import NAME, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

OF_RELEASE = f"app.kubernetes.io/instance={NAME}"


def test_a_drained_node_comes_back_and_nothing_is_lost(release: Release) -> None:
    """On one node what is evicted finds no other: the second execution pod is refused. Then without eviction."""
    cluster = release.cluster
    (node,) = {pod["spec"]["nodeName"] for pod in release.pods("execution")}

    def drain(pods: str, *how: str, limit_secs: int) -> None:
        every = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--pod-selector", pods)
        cluster.kubectl("drain", node, *every, *how, f"--timeout={limit_secs}s", limit_secs=limit_secs + 20)

    with release.disturbed("drain the node and uncordon it"):
        try:
            with pytest.raises(CommandFailed, match="violate the pod's disruption budget"):
                drain(f"{OF_RELEASE},app.kubernetes.io/component=execution", limit_secs=15)
            drain(OF_RELEASE, "--disable-eviction", limit_secs=120)
        finally:
            cluster.kubectl("uncordon", node)
        # The operator's pod was evicted with the others, and nobody else starts it again.
        release.bring_operator_back()
