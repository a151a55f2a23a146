"""IN-7: what the cluster holds is compared with what the release says, as admin's ServiceAccount may read it."""

import copy
import hashlib
import json
from typing import Any

import httpx
import pytest

from holdfast_admin.adapters.release import EXPECTED_VARIABLE, Release
from holdfast_admin.domain.drift import Live, compare
from holdfast_admin.release_watch import UNFINISHED_TO_ALARM_SECS, ReleaseWatch
from holdfast_admin.watches import watches
from holdfast_catalogue.doctor.checks import Verdict, examine
from holdfast_runtime.kubernetes import Cluster
from holdfast_simulation.lookout import Lookout, name_of
from holdfast_simulation.manual_clock import ManualMonotonicClock


def checksum(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def labels(component: str) -> dict[str, str]:
    return OURS | {"component": component}


SUM = "checksum/configuration"
OURS = {"instance": "hf"}
CONFIGURATION = "books: [equity]\n"
EXPECTED: dict[str, Any] = {
    "revision": 3,
    "workloads": {
        "deployments/hf-gate": {
            "replicas": 2,
            "images": ["holdfast/gate:1.2"],
            "annotations": {SUM: "a" * 64},
            "variables": {
                "main": {
                    "LIVE": checksum("0"),
                    "EMPTY": checksum(""),
                    "POD": {"fieldRef": {"fieldPath": "metadata.name"}},
                },
                "migrate": {"LIVE": checksum("0")},
            },
            "pod": {
                "serviceAccountName": "hf-gate",
                "volumes": [{"name": "state", "emptyDir": {}}],
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname"}],
            },
            "containers": {
                "main": {
                    "livenessProbe": {"grpc": {"port": 8081}},
                    "securityContext": {"readOnlyRootFilesystem": True},
                    "volumeMounts": [{"name": "state", "mountPath": "/state"}],
                    "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi"}, "limits": {"memory": "2Gi"}},
                },
                "migrate": {"command": ["migrate"]},
            },
        },
        "deployments/hf-scoring": {"replicas": None, "images": ["holdfast/scoring:1.2"], "annotations": {}},
    },
    "configmaps": {"hf-configuration": {"holdfast.yaml": checksum(CONFIGURATION)}},
    "objects": {
        "services/hf-gate": {
            "selector": labels("gate"),
            "publishNotReadyAddresses": True,
            "ports": [{"name": "grpc", "port": 8443, "targetPort": "grpc"}],
        },
        "roles/hf-admin": {
            "rules": [
                {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["hf-gate"], "verbs": ["get"]}
            ]
        },
        "rolebindings/hf-admin": {
            "roleRef": {"kind": "Role", "name": "hf-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "hf-admin", "namespace": "trading"}],
        },
    },
    "networkpolicies": {
        "hf-deny-all": {"podSelector": {"matchLabels": OURS}, "policyTypes": ["Ingress", "Egress"]},
        "hf-gate-from-scoring": {
            "podSelector": {"matchLabels": labels("gate")},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": labels("scoring")}}], "ports": [{"port": 8443}]}],
        },
        "the-mesh": None,
    },
}


def deployment(name: str, image: str, replicas: int, **status: Any) -> dict[str, Any]:
    found = {"observedGeneration": 4, "updatedReplicas": replicas, "readyReplicas": replicas, **status}
    return {
        "metadata": {"name": name, "generation": 4},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"annotations": {SUM: "a" * 64}, "labels": labels(name.removeprefix("hf-"))},
                "spec": pod_spec(image),
            },
        },
        "status": found,
    }


def pod_spec(image: str) -> dict[str, Any]:
    """As the API server holds it: with its own defaults."""
    probe = {"grpc": {"port": 8081, "service": ""}, "timeoutSeconds": 1, "periodSeconds": 10, "failureThreshold": 3}
    return {
        "serviceAccountName": "hf-gate",
        "serviceAccount": "hf-gate",
        "restartPolicy": "Always",
        "securityContext": {},
        "volumes": [{"name": "state", "emptyDir": {}}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname"}],
        "initContainers": [
            {"name": "migrate", "image": image, "command": ["migrate"], "env": [{"name": "LIVE", "value": "0"}]}
        ],
        "containers": [
            {
                "name": "main",
                "image": image,
                "env": environment(),
                "terminationMessagePath": "/dev/termination-log",
                "livenessProbe": probe | {"successThreshold": 1},
                "securityContext": {"readOnlyRootFilesystem": True},
                "volumeMounts": [{"name": "state", "mountPath": "/state"}],
                "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            }
        ],
    }


def environment() -> list[dict[str, Any]]:
    """As the API server holds it: with its own defaults."""
    field = {"apiVersion": "v1", "fieldPath": "metadata.name"}
    return [{"name": "LIVE", "value": "0"}, {"name": "EMPTY"}, {"name": "POD", "valueFrom": {"fieldRef": field}}]


def objects() -> dict[str, dict[str, Any]]:
    """Services, Roles and RoleBindings as the API server holds them: with its own choices."""
    found = copy.deepcopy(EXPECTED["objects"])
    found["services/hf-gate"]["ports"][0]["protocol"] = "TCP"
    found["services/hf-gate"] |= {"type": "ClusterIP", "clusterIP": "10.0.0.7", "ipFamilies": ["IPv4"]}
    return {each: {"spec": parts} if each.startswith("services/") else parts for each, parts in found.items()}


def policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def policies() -> dict[str, dict[str, Any]]:
    """The release's own as the API server holds them, and one of somebody else that is meant."""
    found = {name: copy.deepcopy(spec) for name, spec in EXPECTED["networkpolicies"].items() if spec}
    found["hf-gate-from-scoring"]["ingress"][0]["ports"][0]["protocol"] = "TCP"
    found["the-mesh"] = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    return found


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
        self.policies = policies()
        self.objects = objects()
        self.denied: set[str] = set()
        self.asked: set[tuple[str, str]] = set()

    def cluster(self) -> Cluster:
        return Cluster(httpx.Client(base_url="http://api", transport=httpx.MockTransport(self._answer)), "trading")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        kind, _, name = request.url.path.partition("/namespaces/trading/")[2].partition("/")
        self.asked.add((request.method, kind))
        if kind in self.denied:
            return httpx.Response(403, json={"message": f"{kind} is forbidden"})
        if kind == "networkpolicies" and not name:
            return httpx.Response(200, json={"items": [policy(*each) for each in self.policies.items()]})
        named = {f"deployments/{each}": found for each, found in self.deployments.items()}
        named |= {f"configmaps/{each}": found for each, found in self.configmaps.items()} | self.objects
        found = named.get(f"{kind}/{name}")
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
        """After a look, and another one so much later."""
        await self.watch.look()
        await self.lookout.status("release.drifted", after_secs=after_secs)
        await self.watch.look()
        message = await self.lookout.look("release.drifted")
        return name_of(message.status), message.evidence


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_a_release_that_is_as_it_says_is_well_and_only_read(watched: Watched) -> None:
    """SE-3: no other kind is asked for, no Secret among them, and nothing is written."""
    assert await watched.check() == ("OK", "every object is as the release says")
    assert (await watched.status())[0] == "OK"
    assert watched.api.asked == {
        ("GET", kind) for kind in ("configmaps", "deployments", "networkpolicies", "services", "roles", "rolebindings")
    }


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
    live = Live({"gate": deployment("gate", "tilt-3f2a", 1)}, {})
    assert compare({"workloads": {"gate": wanted}, "configmaps": {}}, live).changed == ()


def test_what_a_release_of_before_does_not_say_is_not_compared() -> None:
    """After a rollback the newer admin reads the older word, for the moments until it is rolled back itself."""
    wanted = {"replicas": 1, "images": None}
    live = Live({"gate": deployment("gate", "holdfast/gate:1.1", 1)}, {}, [policy("open", OPEN)])
    assert compare({"workloads": {"gate": wanted}, "configmaps": {}}, live).changed == ()


PASSWORD = "hunter2"


@pytest.mark.parametrize(
    ("container", "change", "told"),
    [
        (
            "main",
            lambda its: its["env"].append({"name": "DEBUG", "value": PASSWORD}),
            "DEBUG of container main was added",
        ),
        ("main", lambda its: its["env"][0].update(value=PASSWORD), "LIVE of container main is not the release's"),
        ("main", lambda its: its["env"].pop(0), "LIVE of container main is gone"),
        (
            "main",
            lambda its: its["env"].append({"name": "LIVE", "value": "1"}),
            "LIVE of container main is not the release's",
        ),
        (
            "main",
            lambda its: its["env"][2].update(valueFrom={"secretKeyRef": {"name": "broker", "key": "KEY"}}),
            "POD of container main is not the release's",
        ),
        (
            "main",
            lambda its: its.update(envFrom=[{"secretRef": {"name": "broker"}}]),
            "envFrom of container main was added",
        ),
        ("migrate", lambda its: its.pop("env"), "LIVE of container migrate is gone"),
    ],
)
async def test_a_variable_changed_by_hand_is_named_but_not_its_value(
    watched: Watched, container: str, change: Any, told: str
) -> None:
    """`kubectl set env`: IN-7, and SE-3: what a hand has put there may be a secret."""
    pod = watched.api.deployments["hf-gate"]["spec"]["template"]["spec"]
    change(next(each for each in pod["containers"] + pod["initContainers"] if each["name"] == container))
    assert await watched.check() == ("RED", f"deployments/hf-gate: {told}")
    status, evidence = await watched.status()
    assert (status, evidence) == ("ERROR", f"deployments/hf-gate: {told}")
    assert PASSWORD not in evidence


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda pod: pod.update(hostNetwork=True), "hostNetwork of its pods is not the release's"),
        (
            lambda pod: pod.update(serviceAccountName="hf-execution"),
            "serviceAccountName of its pods is not the release's",
        ),
        (lambda pod: pod["volumes"].clear(), "volumes of its pods is not the release's"),
        (
            lambda pod: pod["volumes"][0].update(emptyDir={"medium": "Memory"}),
            "volumes of its pods is not the release's",
        ),
        (lambda pod: pod["containers"][0].update(command=["sh"]), "command of container main is not the release's"),
        (lambda pod: pod["initContainers"][0].pop("command"), "command of container migrate is not the release's"),
        (lambda pod: pod["containers"][0].pop("livenessProbe"), "livenessProbe of container main is not the release's"),
        (
            lambda pod: pod["containers"][0]["livenessProbe"].update(failureThreshold=300),
            "livenessProbe of container main is not the release's",
        ),
        (
            lambda pod: pod["containers"][0]["securityContext"].update(readOnlyRootFilesystem=False),
            "securityContext of container main is not the release's",
        ),
        (
            lambda pod: pod["containers"][0]["volumeMounts"][0].update(mountPath="/etc"),
            "volumeMounts of container main is not the release's",
        ),
        (
            lambda pod: pod["containers"][0]["resources"]["limits"].update(memory="2G"),
            "resources of container main is not the release's",
        ),
        (
            lambda pod: pod["containers"][0]["resources"]["requests"].pop("cpu"),
            "resources of container main is not the release's",
        ),
        (
            lambda pod: pod["topologySpreadConstraints"].clear(),
            "topologySpreadConstraints of its pods is not the release's",
        ),
        (
            lambda pod: pod.update(affinity={"nodeAffinity": {}}),
            "affinity of its pods is not the release's",
        ),
        (
            lambda pod: pod.update(nodeSelector={"kubernetes.io/hostname": "one"}),
            "nodeSelector of its pods is not the release's",
        ),
        (
            lambda pod: pod["containers"].append({"name": "sidecar", "image": "holdfast/gate:1.2"}),
            "container sidecar was added",
        ),
    ],
)
async def test_a_pod_that_a_hand_runs_otherwise_is_named_with_its_part(
    watched: Watched, change: Any, told: str
) -> None:
    """IN-7, FP-6.2: without its probe a stuck service is restarted by nobody."""
    change(watched.api.deployments["hf-gate"]["spec"]["template"]["spec"])
    assert await watched.check() == ("RED", f"deployments/hf-gate: {told}")
    assert (await watched.status())[0] == "ERROR"


async def test_a_container_that_is_gone_is_named(watched: Watched) -> None:
    watched.api.deployments["hf-gate"]["spec"]["template"]["spec"]["initContainers"].clear()
    assert "deployments/hf-gate: container migrate is gone" in (await watched.check())[1]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("services/hf-gate", lambda its: its["spec"]["selector"].update(component="scoring"), "selector"),
        ("services/hf-gate", lambda its: its["spec"]["ports"][0].update(targetPort="health"), "ports"),
        ("services/hf-gate", lambda its: its["spec"].update(type="LoadBalancer"), "type"),
        (
            "services/hf-gate",
            lambda its: its["spec"].update(publishNotReadyAddresses=False),
            "publishNotReadyAddresses",
        ),
        ("roles/hf-admin", lambda its: its["rules"][0].pop("resourceNames"), "rules"),
        ("roles/hf-admin", lambda its: its["rules"].append({"resources": ["secrets"], "verbs": ["*"]}), "rules"),
        ("rolebindings/hf-admin", lambda its: its["subjects"].append({"kind": "Group", "name": "all"}), "subjects"),
    ],
)
async def test_a_service_or_a_right_changed_by_hand_is_named(
    watched: Watched, name: str, change: Any, told: str
) -> None:
    """IN-7, SE-3: callers led elsewhere, or rights that nobody has reviewed."""
    change(watched.api.objects[name])
    assert await watched.check() == ("RED", f"{name}: {told} is not the release's")
    assert (await watched.status())[0] == "ERROR"


@pytest.mark.parametrize("name", EXPECTED["objects"])
async def test_a_service_or_a_right_that_was_removed_is_named(watched: Watched, name: str) -> None:
    del watched.api.objects[name]
    assert await watched.check() == ("RED", f"{name} is gone")


OPEN = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
NEIGHBOURS = {"from": [{"namespaceSelector": {}}]}


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("hf-deny-all", lambda spec: spec.update(ingress=[{}]), "ingress"),
        ("hf-deny-all", lambda spec: spec.update(policyTypes=["Ingress"]), "policyTypes"),
        ("hf-deny-all", lambda spec: spec["podSelector"]["matchLabels"].update(component="gate"), "podSelector"),
        ("hf-gate-from-scoring", lambda spec: spec["ingress"].append({}), "ingress"),
        ("hf-gate-from-scoring", lambda spec: spec["ingress"][0].pop("from"), "ingress"),
        ("hf-gate-from-scoring", lambda spec: spec["ingress"][0]["from"].append({"podSelector": {}}), "ingress"),
        ("hf-gate-from-scoring", lambda spec: spec["ingress"][0]["ports"][0].update(protocol="UDP"), "ingress"),
        ("hf-gate-from-scoring", lambda spec: spec.update(ingress=[]), "ingress"),
    ],
)
async def test_a_policy_that_was_changed_by_hand_is_named_with_its_part(
    watched: Watched, name: str, change: Any, told: str
) -> None:
    """SE-7: looser or narrower, it is not what the release says."""
    change(watched.api.policies[name])
    assert await watched.check() == ("RED", f"networkpolicies/{name}: {told} is not the release's")
    assert (await watched.status())[0] == "ERROR"


async def test_a_policy_that_was_removed_is_named(watched: Watched) -> None:
    del watched.api.policies["hf-deny-all"]
    assert await watched.check() == ("RED", "networkpolicies/hf-deny-all is gone")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (OPEN, "ingress of deployments/hf-gate, deployments/hf-scoring"),
        (OPEN | {"podSelector": {"matchLabels": labels("gate")}}, "ingress of deployments/hf-gate"),
        (
            OPEN | {"policyTypes": ["Egress", "Ingress"], "egress": [NEIGHBOURS], "podSelector": {"matchLabels": OURS}},
            "ingress and egress of deployments/hf-gate, deployments/hf-scoring",
        ),
        *(
            (OPEN | {"podSelector": {"matchExpressions": [requirement]}}, f"ingress of deployments/hf-{only}")
            for requirement, only in (
                ({"key": "component", "operator": "In", "values": ["gate", "web"]}, "gate"),
                ({"key": "component", "operator": "NotIn", "values": ["gate"]}, "scoring"),
            )
        ),
    ],
)
async def test_a_policy_of_somebody_else_that_opens_the_releases_pods_is_named(
    watched: Watched, spec: dict[str, Any], told: str
) -> None:
    watched.api.policies["helpful"] = spec
    assert await watched.check() == ("RED", f"networkpolicies/helpful is not the release's, and opens {told}")


def test_what_opens_everything_is_told_in_few_words() -> None:
    """An evidence has its bounds: what else has changed is to be seen beside it."""
    more = {
        f"deployments/hf-{each}": deployment(f"hf-{each}", "any", 1) for each in ("admin", "gate", "nats", "signal")
    }
    policies_alone = EXPECTED | {"workloads": {}, "configmaps": {}, "objects": {}}
    found = compare(policies_alone, Live(more, {}, [policy("helpful", OPEN)]))
    opens = "and opens ingress of deployments/hf-admin, deployments/hf-gate and 2 more"
    assert found.changed == (
        "networkpolicies/hf-deny-all is gone",
        "networkpolicies/hf-gate-from-scoring is gone",
        f"networkpolicies/helpful is not the release's, {opens}",
    )


@pytest.mark.parametrize(
    "spec",
    [
        OPEN | {"podSelector": {"matchLabels": {"app": "web"}}},
        OPEN | {"podSelector": {"matchExpressions": [{"key": "instance", "operator": "DoesNotExist"}]}},
        OPEN | {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}},
        {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        {"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]},
    ],
    ids=["other-pods", "pods-of-no-release", "pods-of-an-app", "closes-all", "rules-that-do-not-count"],
)
async def test_a_policy_of_somebody_else_that_opens_nothing_of_the_release_is_none_of_its_business(
    watched: Watched, spec: dict[str, Any]
) -> None:
    watched.api.policies["helpful"] = spec
    assert await watched.check() == ("OK", "every object is as the release says")


async def test_a_release_without_policies_asks_for_none(watched: Watched) -> None:
    """It has no right to: where policies are switched off, the chart gives none."""
    told = {key: value for key, value in EXPECTED.items() if key != "networkpolicies"}
    watched.api.configmaps["hf-expected"]["data"]["expected.json"] = json.dumps(told)
    assert (await watched.check())[0] == "OK"
    assert ("GET", "networkpolicies") not in watched.api.asked


async def test_an_object_that_is_gone_or_whose_content_was_changed_is_named(watched: Watched) -> None:
    kept = copy.deepcopy(watched.api.deployments)
    del watched.api.deployments["hf-scoring"]
    assert await watched.check() == ("RED", "deployments/hf-scoring is gone")
    watched.api.deployments = kept
    watched.api.configmaps["hf-configuration"]["data"]["holdfast.yaml"] = "books: [crypto]\n"
    assert await watched.check() == ("RED", "configmaps/hf-configuration: holdfast.yaml is not the release's")


async def test_what_an_upgrade_changes_one_after_the_other_alarms_nobody(watched: Watched) -> None:
    """IN-7: the release says it already, the object follows a moment later."""
    watched.api.deployments["hf-gate"]["spec"]["replicas"] = 1
    assert (await watched.check())[0] == "RED", "a person who asks is told at once"
    assert await watched.lookout.status("release.drifted") == "WARN"
    watched.api.deployments["hf-gate"]["spec"]["replicas"] = 2
    await watched.watch.look()
    assert await watched.lookout.status("release.drifted", after_secs=60.0) == "OK"
    assert "release.drifted" not in [each.id for each in watched.lookout.alerts]


async def test_an_annotation_of_somebody_is_named_and_not_told(watched: Watched) -> None:
    expected = copy.deepcopy(EXPECTED)
    expected["workloads"]["deployments/hf-gate"]["annotations"]["contact"] = "the desk"
    watched.api.configmaps["hf-expected"]["data"]["expected.json"] = json.dumps(expected)
    watched.api.deployments["hf-gate"]["spec"]["template"]["metadata"]["annotations"]["contact"] = "somebody"
    assert await watched.check() == ("RED", "deployments/hf-gate: the pods' annotation contact is not the release's")


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
