"""`holdfast doctor` in a cluster: all is well after an install, and what a hand has changed is named (IN-7, IN-8)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.release import NAME, SERVICES, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ANSWERED_SECS = 60.0
FOUND_SECS = 180.0

Checks = dict[tuple[str, str], dict[str, Any]]
"""By service and name."""


def doctor(release: Release) -> Checks:
    """What every service finds now."""
    told = json.loads(release.told_by("holdfast", "doctor", "--json", limit_secs=ANSWERED_SECS))
    return {(each["service"], check["check"]): check for each in told["examinations"] for check in each["checks"]}


def not_well(found: Checks) -> Checks:
    return {where: check for where, check in found.items() if check["verdict"] != "OK"}


def until_well(release: Release) -> Checks:
    """Everything that was looked at, once every service has answered and nothing is amiss."""

    def well() -> Checks:
        found = doctor(release)
        complete = {service for service, _ in found} == set(SERVICES) - {"papermarket"}
        return found if complete and not not_well(found) else {}

    return eventually(well, "the doctor finds all well", FOUND_SECS)


@contextmanager
def changed_by_hand(release: Release, name: str, patch: dict[str, dict[str, Any]]) -> Iterator[None]:
    """An object of the release, changed in one section; in the end the section is as it was."""
    (before,) = release.cluster.get(name)
    # One variable among others, and then the list as it was: the two kinds of patch differ in that.
    release.cluster.kubectl("patch", name, "--type", "strategic", "--patch", json.dumps(patch))
    try:
        yield
    finally:
        undo = {section: before[section] for section in patch}
        release.cluster.kubectl("patch", name, "--type", "merge", "--patch", json.dumps(undo))


def container(name: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """A patch of one container of a workload."""
    return {"spec": {"template": {"spec": {"containers": [{"name": name, **changes}]}}}}


def test_every_service_finds_all_its_edges_well_after_an_install(day: Release) -> None:
    found = until_well(day)
    assert found["admin", "release"]["evidence"] == "every object is as the release says"


@pytest.mark.parametrize(
    ("name", "patch", "told", "step"),
    [
        pytest.param(
            f"deployment/{NAME}-scoring",
            {"spec": {"replicas": 2}},
            {("admin", "release"): f"deployments/{NAME}-scoring: 2 replicas, the release says 1"},
            "helm upgrade",
            id="a-scaled-deployment",
        ),
        pytest.param(
            f"deployment/{NAME}-scoring",
            container("scoring", env=[{"name": "BY_HAND", "value": "1"}]),
            {("admin", "release"): f"deployments/{NAME}-scoring: BY_HAND of container scoring was added"},
            "kubectl set env",
            id="an-added-variable",
        ),
        pytest.param(
            f"deployment/{NAME}-scoring",
            container("scoring", livenessProbe=None),
            {
                (
                    "admin",
                    "release",
                ): f"deployments/{NAME}-scoring: livenessProbe of container scoring is not the release's"
            },
            "helm upgrade",
            id="a-removed-probe",
        ),
        pytest.param(
            f"deployment/{NAME}-scoring",
            container("scoring", resources={"limits": {"memory": "500Mi"}}),
            {("admin", "release"): f"deployments/{NAME}-scoring: resources of container scoring is not the release's"},
            "helm upgrade",
            id="a-limit-of-memory",
        ),
        pytest.param(
            f"configmap/{NAME}-configuration",
            {"data": {"holdfast.yaml": "{}"}},
            {("admin", "release"): f"configmaps/{NAME}-configuration: holdfast.yaml is not the release's"},
            "helm upgrade",
            id="an-edited-configuration",
        ),
        pytest.param(
            f"networkpolicy/{NAME}-gate-from-scoring",
            {"spec": {"ingress": []}},
            {
                ("scoring", "call gate"): "failed to connect",
                ("admin", "release"): f"networkpolicies/{NAME}-gate-from-scoring: ingress is not the release's",
            },
            "network policy",
            id="a-policy-that-cuts-an-edge",
        ),
        pytest.param(
            f"networkpolicy/{NAME}-gate-from-scoring",
            {"spec": {"ingress": [{}]}},
            {("admin", "release"): f"networkpolicies/{NAME}-gate-from-scoring: ingress is not the release's"},
            "kubectl delete networkpolicy",
            id="a-policy-that-opens-an-edge-to-everybody",
        ),
    ],
)
def test_what_a_hand_has_changed_is_red_with_what_to_do_until_it_is_undone(
    name: str, patch: dict[str, dict[str, Any]], told: dict[tuple[str, str], str], step: str, day: Release
) -> None:
    def named() -> Checks:
        # Nothing else: what a busy machine answers late for once is looked at again.
        found = not_well(doctor(day))
        alone = set(found) == set(told) and all(check["verdict"] == "RED" for check in found.values())
        return found if alone and all(told[where] in found[where]["evidence"] for where in told) else {}

    with changed_by_hand(day, name, patch):
        found = eventually(named, f"{told} is RED, and nothing else", FOUND_SECS)
        assert all(any(step in each for each in check["steps"]) for check in found.values())
    until_well(day)
