"""What the chart renders of itself for admin's drift check is what it renders, and no secret (IN-7, SE-3)."""

import json
import re
from typing import Any

import pytest
import yaml

from holdfast_admin.domain.drift import CONTAINER_PARTS, OBJECT_PARTS, POD_PARTS, Drift, Live, compare
from tests.chart.rendering import VALUES, Manifest, manifests, of_kind, template

every_values = pytest.mark.parametrize("name", VALUES)


def expected(found: list[Manifest]) -> dict[str, Any]:
    (said,) = (each for each in of_kind(found, "ConfigMap") if "expected.json" in each["data"])
    told: dict[str, Any] = json.loads(said["data"]["expected.json"])
    return told


def rendered_with(*words: str) -> list[Manifest]:
    return [each for each in yaml.load_all(template(*words).stdout, yaml.CSafeLoader) if each]


def installed(found: list[Manifest]) -> Live:
    """As it is once every pod is there; what belongs to an upgrade's hooks is gone again."""
    status = {"updatedReplicas": 9, "readyReplicas": 9}
    return Live(
        workloads={
            f"{each['kind'].lower()}s/{each['metadata']['name']}": each | {"status": status}
            for each in of_kind(found, "Deployment", "StatefulSet")
        },
        configmaps={each["metadata"]["name"]: each for each in of_kind(found, "ConfigMap")},
        policies=[each for each in of_kind(found, "NetworkPolicy") if "annotations" not in each["metadata"]],
        objects={
            f"{each['kind'].lower()}s/{each['metadata']['name']}": each
            for each in of_kind(found, "Service", "Role", "RoleBinding")
            if "annotations" not in each["metadata"]
        },
    )


@every_values
def test_every_object_that_may_be_compared_is_said_and_is_so_after_an_install(name: str) -> None:
    said, live = expected(manifests(name)), installed(manifests(name))
    own = {each for each, spec in said["networkpolicies"].items() if spec is not None}
    assert set(said["workloads"]) == set(live.workloads)
    assert own == {each["metadata"]["name"] for each in live.policies}
    assert set(said["objects"]) == set(live.objects)
    assert compare(said, live) == Drift((), ())


@every_values
def test_what_is_said_of_a_variable_is_never_its_value(name: str) -> None:
    """A sum, or where the value comes from."""
    for workload in expected(manifests(name))["workloads"].values():
        for variables in workload["variables"].values():
            for said in variables.values():
                assert set(said) == {"fieldRef"} if isinstance(said, dict) else re.fullmatch("[0-9a-f]{64}", said)


@every_values
def test_what_is_said_of_an_object_is_what_is_compared_and_may_be_read(name: str) -> None:
    """A part that admin does not compare would look gone; an object that its Role does not name would be a refusal."""
    said = expected(manifests(name))["objects"]
    for each, parts in said.items():
        assert set(parts) <= set(OBJECT_PARTS[each.partition("/")[0]])
    (role,) = (each for each in of_kind(manifests(name), "Role") if "release-expected" in each["metadata"]["name"])
    by_name = [rule for rule in role["rules"] if "resourceNames" in rule]
    readable = {f"{kind}/{each}" for rule in by_name for kind in rule["resources"] for each in rule["resourceNames"]}
    assert set(said) <= readable


@every_values
def test_what_is_compared_of_a_pod_is_all_said(name: str) -> None:
    """A part that the template gained and the chart's word did not would look changed by a hand, or not be seen."""
    said = expected(manifests(name))["workloads"]
    for workload in of_kind(manifests(name), "Deployment", "StatefulSet"):
        pod = workload["spec"]["template"]["spec"]
        its = said[f"{workload['kind'].lower()}s/{workload['metadata']['name']}"]
        assert its["pod"] == {part: pod[part] for part in POD_PARTS if part in pod}
        assert its["containers"] == {
            each["name"]: {part: each[part] for part in CONTAINER_PARTS if part in each}
            for each in (*pod.get("initContainers", ()), *pod["containers"])
        }


def test_images_and_commands_of_development_are_not_compared() -> None:
    """Tilt gives them names and commands of its own: that is no drift."""
    workloads = expected(rendered_with("--set", "image.development=true"))["workloads"]
    assert {each["images"] for each in workloads.values()} == {None}
    assert not [each for each in workloads.values() if "containers" in each]
    assert expected(manifests("default"))["workloads"]["deployments/holdfast-gate"]["images"] == ["holdfast/gate:dev"]


def test_what_keda_scales_has_no_number_of_replicas() -> None:
    workloads = expected(manifests("everything"))["workloads"]
    assert workloads["deployments/holdfast-scoring"]["replicas"] is None
    assert workloads["deployments/holdfast-gate"]["replicas"] == 2


def test_policies_of_somebody_else_that_are_meant_are_not_compared() -> None:
    assert expected(manifests("everything"))["networkpolicies"]["egress-of-the-mesh"] is None


def test_without_policies_none_is_said_and_nobody_may_list_them() -> None:
    found = rendered_with("--set", "networkPolicy.enabled=false")
    assert "networkpolicies" not in expected(found)
    assert "networkpolicies" not in str(of_kind(found, "Role"))
