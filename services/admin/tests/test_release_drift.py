"""IN-7: what the cluster holds is compared with what the release says, as admin's ServiceAccount may read it."""

import copy
import hashlib
import json
from typing import Any

import httpx
import pytest

from holdfast_admin.adapters.release import EXPECTED_VARIABLE, Release
from holdfast_admin.domain.drift import compare
from holdfast_admin.release_watch import UNFINISHED_TO_ALARM_SECS, ReleaseWatch
from holdfast_admin.watches import watches
from holdfast_catalogue.doctor.checks import Verdict, examine
from holdfast_runtime.kubernetes import Cluster
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock

SUM = "checksum/configuration"
CONFIGURATION = "books: [equity]\n"
EXPECTED = {
    "revision": 3,
    "workloads": {
        "deployments/hf-gate": {"replicas": 2, "images": ["holdfast/gate:1.2"], "annotations": {SUM: "a" * 64}},
        "deployments/hf-scoring": {"replicas": None, "images": ["holdfast/scoring:1.2"], "annotations": {}},
    },
    "configmaps": {"hf-configuration": {"holdfast.yaml": hashlib.sha256(CONFIGURATION.encode()).hexdigest()}},
}


def deployment(name: str, image: str, replicas: int, **status: Any) -> dict[str, Any]:
    found = {"observedGeneration": 4, "updatedReplicas": replicas, "readyReplicas": replicas, **status}
    return {
        "metadata": {"name": name, "generation": 4},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"annotations": {SUM: "a" * 64}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
        "status": found,
    }


class Api:
    """An API server with one release; `denied`: kinds that the Role does not allow."""

    def __init__(self) -> None:
        self.deployments = {
            each["metadata"]["name"]: each
            for each in (
                deployment("hf-gate", "holdfast/gate:1.2", 2), deployment("hf-scoring", "holdfast/scoring:1.2", 7)
            )
        }  # fmt: skip
        self.configmaps: dict[str, dict[str, Any]] = {
            "hf-expected": {"data": {"expected.json": json.dumps(EXPECTED)}},
            "hf-configuration": {"data": {"holdfast.yaml": CONFIGURATION}},
        }
        self.denied: set[str] = set()
        self.asked: set[tuple[str, str]] = set()

    def cluster(self) -> Cluster:
        return Cluster(httpx.Client(base_url="http://api", transport=httpx.MockTransport(self._answer)), "trading")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        kind, _, name = request.url.path.partition("/namespaces/trading/")[2].partition("/")
        self.asked.add((request.method, kind))
        if kind in self.denied:
            return httpx.Response(403, json={"message": f"{kind} is forbidden"})
        found = (self.deployments if kind == "deployments" else self.configmaps).get(name)
        return httpx.Response(200, json=found) if found else httpx.Response(404, json={"message": "not found"})


class Watched:
    """The watch on that release, as the doctor and the sentinel ask it."""

    def __init__(self, *, in_cluster: bool = True) -> None:
        self.api = Api()
        self.clock = ManualMonotonicClock()
        environ = {EXPECTED_VARIABLE: "hf-expected"} if in_cluster else {}
        self.watch = ReleaseWatch(Release(environ, self.api.cluster), self.clock)
        self.lookout = Lookout("admin", watches(self.clock, self.watch), self.clock)

    async def check(self) -> tuple[str, str]:
        (found,) = await examine([self.watch.check()])
        return Verdict(found.verdict).name, found.evidence

    async def status(self, after_secs: float = 60.0) -> tuple[str, str]:
        await self.watch.look()
        status = await self.lookout.status("release.drifted", after_secs=after_secs)
        return status, (await self.lookout.look("release.drifted")).evidence


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_a_release_that_is_as_it_says_is_well_and_only_read(watched: Watched) -> None:
    """SE-3: no other kind is asked for, no Secret among them, and nothing is written."""
    assert await watched.check() == ("OK", "every object is as the release says")
    assert (await watched.status())[0] == "OK"
    assert watched.api.asked == {("GET", "configmaps"), ("GET", "deployments")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda gate: gate["spec"].update(replicas=5), "deployments/hf-gate: 5 replicas, the release says 2"),
        (
            lambda gate: gate["spec"]["template"]["spec"]["containers"][0].update(image="holdfast/gate:9"),
            "deployments/hf-gate: runs holdfast/gate:9, the release says holdfast/gate:1.2",
        ),
        (
            lambda gate: gate["spec"]["template"]["metadata"]["annotations"].update({SUM: "b" * 64}),
            f"deployments/hf-gate: {SUM} is bbbbbbbbbbbb, the release says aaaaaaaaaaaa",
        ),
    ],
)
async def test_a_change_by_hand_is_an_error_that_names_it(watched: Watched, change: Any, told: str) -> None:
    change(watched.api.deployments["hf-gate"])
    verdict, evidence = await watched.check()
    assert verdict == "RED"
    assert told in evidence
    status, evidence = await watched.status()
    assert status == "ERROR"
    assert told in evidence


def test_images_that_the_release_does_not_name_are_not_compared() -> None:
    """Who develops gives them other names."""
    wanted = {"replicas": 1, "images": None, "annotations": {}}
    found = compare({"workloads": {"gate": wanted}, "configmaps": {}}, {"gate": deployment("gate", "tilt-3f2a", 1)}, {})
    assert found.changed == ()


async def test_an_object_that_is_gone_or_whose_content_was_changed_is_named(watched: Watched) -> None:
    kept = copy.deepcopy(watched.api.deployments)
    del watched.api.deployments["hf-scoring"]
    assert await watched.check() == ("RED", "deployments/hf-scoring is gone")
    watched.api.deployments = kept
    watched.api.configmaps["hf-configuration"]["data"]["holdfast.yaml"] = "books: [crypto]\n"
    assert await watched.check() == ("RED", "configmaps/hf-configuration: holdfast.yaml is not the release's")


async def test_a_failed_rollout_is_told_and_the_old_version_trades_on(watched: Watched) -> None:
    watched.api.deployments["hf-gate"]["status"]["conditions"] = [{"reason": "ProgressDeadlineExceeded"}]
    assert await watched.check() == ("WARN", "deployments/hf-gate: its rollout failed; the version before trades on")
    assert (await watched.status())[0] == "OK", "a rollout has its time"
    assert (await watched.status(UNFINISHED_TO_ALARM_SECS))[0] == "ERROR"
    del watched.api.deployments["hf-gate"]["status"]["conditions"]
    assert (await watched.status())[0] == "OK"


async def test_pods_that_are_not_ready_are_told(watched: Watched) -> None:
    watched.api.deployments["hf-gate"]["status"]["readyReplicas"] = 1
    assert await watched.check() == ("WARN", "deployments/hf-gate: 2 of 2 pods are new, 1 are ready")


async def test_a_right_that_lacks_is_told_with_what_to_do(watched: Watched) -> None:
    watched.api.denied.add("deployments")
    verdict, evidence = await watched.check()
    assert verdict == "WARN"
    assert "deployments is forbidden" in evidence
    assert (await watched.status())[0] == "WARN"


async def test_outside_of_a_cluster_there_is_nothing_to_compare() -> None:
    alone = Watched(in_cluster=False)
    assert await alone.check() == ("OK", "not in a cluster")
    assert await alone.lookout.status("release.drifted") == "OK"
    assert alone.api.asked == set()
