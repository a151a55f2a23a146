"""The Tiltfile asks for what is there: paths of this tree, images and objects of the chart, faults of papermarket."""

import json
import re
import shlex
from pathlib import PurePosixPath
from typing import Any

import pytest

from holdfast_exchange.faults.plan import fault_from
from tests.chart.rendering import containers, pods, tool
from tests.tilt.stand_ins import ROOT, Asked, run

SERVICES = {"signal", "scoring", "gate", "execution", "reconciliation", "admin", "papermarket"}
IN_THE_IMAGE = PurePosixPath("/src")


@pytest.fixture(scope="module")
def up() -> Asked:
    tool("helm")
    return run("up")


@pytest.fixture(scope="module")
def ci() -> Asked:
    tool("helm")
    return run("ci")


def steps(image: dict[str, Any], kind: str) -> list[Any]:
    return [step[kind] for step in image["live_update"] if kind in step]


def test_every_path_that_it_names_is_in_the_tree(up: Asked) -> None:
    named = {image["dockerfile"] for image in up.images.values()}
    named |= {path for image in up.images.values() for path in image["only"]}
    named |= {source for image in up.images.values() for source, _ in steps(image, "sync")}
    named |= {path for image in up.images.values() for paths in steps(image, "fall_back_on") for path in paths}
    named |= {path for each in up.locals.values() for path in each["deps"] or ()}
    named |= {path for each in up.buttons.values() for path in re.findall(r"<(\S+)", each["argv"][-1])}
    named |= set(up.watched)

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_image_of_the_chart_is_built_and_no_other(up: Asked) -> None:
    rendered = {}
    for name, pod in pods(up.manifests).items():
        rendered |= {each["image"]: name for each in containers(pod) if each["image"].startswith("holdfast/")}

    assert {image.partition(":")[0] for image in rendered} == set(up.images)
    assert set(up.images) == {f"holdfast/{service}" for service in SERVICES | {"cli"}}


def test_saved_sources_are_carried_to_where_the_development_image_has_them(up: Asked) -> None:
    """The dev stage copies the builder's /src; a path elsewhere would be written and never imported."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    stages = set(re.findall(r"^FROM .* AS (\w+)$", text, re.MULTILINE))
    copied = set(re.findall(r"^COPY (libs|services|tools) \1$", text, re.MULTILINE))
    assert "COPY --from=editable --chown=10001:10001 /src /src" in text

    for service in SERVICES:
        image = up.images[f"holdfast/{service}"]
        assert (image["target"], image["build_args"]) == ("dev", {"SERVICE": service})
        assert image["target"] in stages
        for source, target in steps(image, "sync"):
            assert PurePosixPath(target) == IN_THE_IMAGE / source
            assert PurePosixPath(source).parts[0] in copied
            assert source in image["only"]
        assert f"services/{service}" in {source for source, _ in steps(image, "sync")}


def test_another_lock_or_member_builds_the_image_anew(up: Asked) -> None:
    for service in SERVICES:
        image = up.images[f"holdfast/{service}"]
        (anew,) = steps(image, "fall_back_on")
        assert {"uv.lock", "pyproject.toml", "deploy/Dockerfile", f"services/{service}/pyproject.toml"} <= set(anew)
        assert all(any(path == each or path.startswith(f"{each}/") for each in image["only"]) for path in anew)


def test_the_process_is_started_again_after_a_sync(up: Asked) -> None:
    """The root of a development pod is writable, or nothing could be synced into it."""
    live = (ROOT / "deploy/live.py").read_text()
    for service in SERVICES:
        assert steps(up.images[f"holdfast/{service}"], "run") == [["touch", "/src/.restart"]]
        pod = pods(up.manifests)[f"Deployment/holdfast-{service}"]
        (container,) = pod["spec"]["containers"]
        assert not container["securityContext"]["readOnlyRootFilesystem"]
        assert "command" not in container
    assert 'Path("/src/.restart")' in live


def test_every_resource_that_it_names_is_in_the_rendered_chart(up: Asked) -> None:
    rendered = {f"{each['metadata']['name']}:{each['kind'].lower()}" for each in up.manifests}
    workloads = {name.partition("/")[2] for name in pods(up.manifests)}
    grouped = [each for resource in up.resources for each in resource["objects"] or ()]

    assert {each["workload"] for each in up.resources if each["workload"]} == workloads
    assert set(grouped) <= rendered
    assert len(grouped) == len(set(grouped))
    assert all(resource["labels"] for resource in up.resources)


def test_what_waits_waits_for_something_that_is_there(up: Asked) -> None:
    names = {each["new_name"] or each["workload"] for each in up.resources} | set(up.locals)
    waited = {name for each in [*up.resources, *up.locals.values()] for name in each["resource_deps"] or ()}

    assert waited <= names
    assert {each["resource"] for each in up.buttons.values()} <= names


def test_a_forwarded_port_is_one_that_the_pod_has(up: Asked) -> None:
    forwarded = {}
    for resource in up.resources:
        for forward in resource["port_forwards"] or ():
            pod = pods(up.manifests)[f"Deployment/{resource['workload']}"]
            ports = {port["containerPort"] for each in containers(pod) for port in each.get("ports", ())}
            assert forward["container"] in ports
            forwarded[resource["new_name"]] = forward["local"]

    assert forwarded == {"admin": 8080, "papermarket": 8081, "jaeger": 16686}


def test_ci_runs_every_check_and_all_of_it_ends(up: Asked, ci: Asked) -> None:
    """`tilt ci` waits for all that starts by itself; what is served for ever would hold it."""
    checks = {name for name, each in ci.locals.items() if each["auto_init"]}
    assert checks == {"protos", "lint", "tests"}
    jobs = {each["metadata"]["name"]: each for each in ci.manifests if each["kind"] == "Job"}
    trials = [each for each in ci.resources if each["labels"] == ["checks"]]
    assert trials
    for trial in trials:
        assert trial["auto_init"]
        assert jobs[trial["workload"]]["spec"]["template"]["spec"]["restartPolicy"] == "Never"

    assert {name for name, each in up.locals.items() if each["auto_init"]} == {"protos"}
    assert not any(each["auto_init"] for each in up.resources if each["labels"] == ["checks"])


def test_each_local_check_is_a_command_that_this_tree_has(up: Asked) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for each in up.locals.values():
        program, *words = shlex.split(each["cmd"])
        if program == "make":
            assert set(words) <= targets
        else:
            assert program == ".venv/bin/pytest"
            assert all((ROOT / word).is_dir() for word in words)


def test_every_drill_is_one_that_papermarket_or_the_cluster_understands(up: Asked) -> None:
    faults = {}
    for name, each in up.buttons.items():
        if found := re.search(r"POST /papermarket/v1/faults '(.*)'", each["argv"][-1]):
            faults[name] = fault_from(json.loads(found.group(1))).kind
    deployments = {each["metadata"]["name"] for each in up.manifests if each["kind"] == "Deployment"}
    executed = {name for each in up.buttons.values() for name in re.findall(r"deployment/(\S+)", each["argv"][-1])}

    assert faults == {"broker-5xx": "http_error", "halt": "halt"}
    assert set(up.buttons) == {*faults, "calm", "kill-execution"}
    assert executed <= deployments
    label = "app.kubernetes.io/component"
    selected = pods(up.manifests)["Deployment/holdfast-execution"]["metadata"]["labels"][label]
    assert f"{label}={selected}" in up.buttons["kill-execution"]["argv"]


def test_a_cluster_that_tilt_does_not_know_as_local_needs_a_word(up: Asked) -> None:
    tool("helm")
    assert up.contexts == []
    assert run("up", context="somewhere").contexts == ["somewhere"]
