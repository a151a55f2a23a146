"""Pods are deleted while the market moves: controllers bring them back, nothing is doubled or lost (PR-1, DI-5)."""

import pytest

from tests.e2e.release import SERVICES, STORES, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.mark.parametrize("component", [*SERVICES, *STORES])
def test_a_deleted_pod_comes_back_and_nothing_is_lost(component: str, release: Release) -> None:
    victims = {pod["metadata"]["uid"] for pod in release.pods(component)}
    names = [pod["metadata"]["name"] for pod in release.pods(component)]

    def replaced() -> bool:
        pods = release.pods(component)
        return len(pods) == len(names) and not victims & {pod["metadata"]["uid"] for pod in pods}

    with release.disturbed(f"delete every pod of {component}", until=replaced):
        release.cluster.kubectl("delete", "pod", *names, "--wait=false")
