"""Default deny: from a pod of each component every port of every other one is open where files/topology.yaml has the
call, and closed everywhere else (IN-4, IN-8, SE-3). And what the network lets through, identities still refuse."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.release import CHART, NAME, OURS, READY_SECS, SERVICES, Release, bystander, plain_pod

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

OTHERS = ("operator", "certificates", "preflight", "nats", "postgresql")
"""Pods that are not there all the time, or that have no Python: a bystander with their labels stands for them."""
PROBE = """
import concurrent.futures, json, socket, sys
def reached(target):
    try: socket.create_connection(target, timeout=2).close()
    except OSError: return False
    return True
targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(64) as pool: print(json.dumps(list(pool.map(reached, map(tuple, targets)))))
"""
SUBMIT = """
import asyncio, os, sys
from pathlib import Path
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.errors import Malformed, Refused
from holdfast_runtime.identity import load_identity
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.rpc.client import Remotes
async def main(service, address):
    identity = load_identity(Path(os.environ["HOLDFAST_CERTIFICATES"]), service)
    remotes = Remotes(identity=identity, clock=SystemMonotonicClock())
    try: await remotes.remote(ExecutionCalls, "execution", address).submit(pb.SubmitRequest())
    except Refused as error: print(error.reason)
    except Malformed: print("MALFORMED")
    finally: await remotes.close()
asyncio.run(main(*sys.argv[1:]))
"""

Address = tuple[str, int]
ELSEWHERE_PORT = 8000


def topology() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "files/topology.yaml").read_text())
    return found


def doors(release: Release) -> dict[tuple[str, str], Address]:
    """Where each component listens: (component, port's name) → address of one of its pods."""
    table = topology()
    found = {}
    for component in (*SERVICES, "nats", "postgresql"):
        (pod, *_) = release.pods(component)
        ports = {"nats": ("client", "monitor"), "postgresql": ("sql",)}.get(component, ("grpc", "health", "metrics"))
        for port in ports:
            found[component, port] = (pod["status"]["podIP"], table["ports"][port])
        if "http" in table["services"].get(component, {}):
            found[component, "http"] = (pod["status"]["podIP"], table["services"][component]["http"])
    return found


def allowed(component: str) -> set[tuple[str, str]]:
    table = topology()
    row = (table["services"] | table["others"]).get(component, {})
    return {(called, port) for called, ports in row.get("calls", {}).items() for port in ports}


@pytest.fixture(scope="module")
def standing(release: Release, images: str) -> Iterator[dict[str, str]]:
    """A pod for each component: its own, or one that only looks so."""
    release.cluster.apply(*(bystander(f"e2e-as-{each}", each, f"holdfast/cli:{images}") for each in OTHERS))
    for each in OTHERS:
        release.cluster.kubectl(
            "wait", "--for=jsonpath={.status.phase}=Running", f"pod/e2e-as-{each}", "--timeout=60s", limit_secs=70
        )
    yield {each: f"e2e-as-{each}" for each in OTHERS} | {each: release.pod(each) for each in SERVICES}
    release.cluster.kubectl("delete", "pod", *(f"e2e-as-{each}" for each in OTHERS))


def reached(cluster: Cluster, pod: str, targets: list[Address]) -> list[bool]:
    found: list[bool] = json.loads(cluster.execute(pod, "python", "-c", PROBE, json.dumps(targets)))
    return found


@pytest.mark.parametrize("source", [*SERVICES, *OTHERS])
def test_a_component_reaches_what_it_calls_and_nothing_else(
    source: str, release: Release, standing: dict[str, str]
) -> None:
    found = {door: address for door, address in doors(release).items() if door[0] != source}
    opened = reached(release.cluster, standing[source], list(found.values()))
    open_doors = {door for door, is_open in zip(found, opened, strict=True) if is_open}
    wanted = allowed(source) & set(found)
    assert open_doors - wanted == set()
    # An open one may answer late for once on a busy node.
    late = [found[door] for door in wanted - open_doors]
    if late:
        pod = standing[source]
        eventually(lambda: all(reached(release.cluster, pod, late)), f"{source} reaches {wanted}", READY_SECS)


@pytest.mark.parametrize("service", SERVICES)
def test_every_port_is_open_from_within_so_that_closed_means_the_policy(service: str, release: Release) -> None:
    own = [("127.0.0.1", address[1]) for (component, _), address in doors(release).items() if component == service]
    assert all(reached(release.cluster, release.pod(service), own)), f"{service} does not listen on one of {own}"


@pytest.fixture(scope="module")
def elsewhere(release: Release, images: str) -> Iterator[Address]:
    """A server in a namespace where no policy stands, that answers whoever gets there: a pod beside it does."""
    there = Cluster(release.cluster.context, f"{release.cluster.namespace}-elsewhere")
    server, beside = (plain_pod(name, f"holdfast/cli:{images}") for name in (f"{OURS}server", f"{OURS}beside"))
    server["spec"]["containers"][0]["command"] = ["python", "-m", "http.server", str(ELSEWHERE_PORT)]
    there.kubectl("delete", "namespace", there.namespace, "--ignore-not-found", limit_secs=600)
    try:
        there.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": there.namespace}})
        eventually(lambda: there.get("serviceaccount", "default"), "a pod may be made there", READY_SECS)
        there.apply(server, beside)
        pods = [f"pod/{each['metadata']['name']}" for each in (server, beside)]
        there.kubectl("wait", "--for=condition=Ready", *pods, "--timeout=180s", limit_secs=190)
        (found,) = there.get(pods[0])
        address = (str(found["status"]["podIP"]), ELSEWHERE_PORT)
        eventually(lambda: reached(there, f"{OURS}beside", [address]) == [True], "it answers", READY_SECS)
        yield address
        assert reached(there, f"{OURS}beside", [address]) == [True], "it answers no more: closed means nothing then"
    finally:
        there.kubectl("delete", "namespace", there.namespace, "--ignore-not-found", limit_secs=600)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_reaches_the_cluster_or_anything_outside(service: str, release: Release, elsewhere: Address) -> None:
    """SE-3: on papermarket nobody has any business outside; admin asks the cluster for the drift check."""
    (kubernetes,) = release.cluster.get("service", "kubernetes", "--namespace", "default")
    outside = [(kubernetes["spec"]["clusterIP"], 443), elsewhere]
    assert reached(release.cluster, release.pod(service), outside) == [service == "admin", False]


@pytest.mark.parametrize("service", ["signal", "gate", "scoring", "reconciliation", "admin"])
def test_only_the_gate_may_submit(service: str, release: Release) -> None:
    """SE-3: where the network lets a service reach execution, its certificate still names it."""
    said = release.cluster.execute(
        release.pod(service), "python", "-c", SUBMIT, service, f"{NAME}-execution:8443"
    ).strip()
    assert said == ("MALFORMED" if service == "gate" else "CALLER_NOT_ALLOWED")
