"""Does the cluster hold what the release says (IN-7). Pure: both sides are given.

`expected` is what the chart renders (`templates/release-expected.yaml`):
  {"revision": 3, "workloads": {"deployments/holdfast-gate": {"replicas": 2, "images": ["holdfast/gate:1.2"],
   "annotations": {"checksum/configuration": "ab…"}, "variables": {"gate": {"HOLDFAST_LIVE": "5f…",
   "HOLDFAST_POD": {"fieldRef": {"fieldPath": "metadata.name"}}}},
   "pod": {"serviceAccountName": …, "volumes": […], …}, "containers": {"gate": {"livenessProbe": …, …}}}, …},
   "configmaps": {"holdfast-configuration": {"holdfast.yaml": "cd…"}},
   "objects": {"services/holdfast-gate": {"selector": …, "ports": […]}, "roles/holdfast-admin": {"rules": […]}, …},
   "networkpolicies": {"holdfast-deny-all": {"podSelector": …, "policyTypes": ["Ingress", "Egress"]}, "theirs": null}}
`replicas` null: something else scales it. `images` null: who develops gives them other names. `annotations`: of the pod
template. `variables`: by container. Their values, and those of ConfigMaps, are SHA-256 sums, and no sentence tells one.
`pod` and `containers`: POD_PARTS and CONTAINER_PARTS of their specs. `objects`: OBJECT_PARTS of each.
`networkpolicies`: their specs, null where somebody else's is meant; absent where the release has none. What an older
version's release does not say of itself is not compared.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from holdfast_admin.domain.manifests import Object, unlike
from holdfast_admin.domain.openings import opened

GIVEN_UP = "ProgressDeadlineExceeded"
CHECKSUMS = "checksum/"
POD_PARTS = (
    "serviceAccountName", "securityContext", "volumes", "shareProcessNamespace", "hostNetwork", "hostPID", "hostIPC",
    "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "priorityClassName",
)  # fmt: skip
CONTAINER_PARTS = (
    "command", "args", "ports", "volumeMounts", "securityContext", "startupProbe", "livenessProbe", "readinessProbe",
    "lifecycle", "resources",
)  # fmt: skip
OBJECT_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "services": ("type", "selector", "ports", "publishNotReadyAddresses", "externalIPs"),
        "roles": ("rules",),
        "rolebindings": ("roleRef", "subjects"),
    }
)
"""By kind. What else a live one has, the cluster has chosen: addresses, families."""
SHOWN = 12
"""Characters of a checksum that are told."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs, each a sentence that names its object."""

    changed: tuple[str, ...]
    """It is not what the release says."""
    unfinished: tuple[str, ...]
    """It is, but its pods are not yet."""


@dataclass(frozen=True, slots=True)
class Live:
    """What is there, by the names that `expected` uses; None: there is none."""

    workloads: Mapping[str, Object | None]
    configmaps: Mapping[str, Object | None]
    policies: Iterable[Object] = ()
    """Every NetworkPolicy of the namespace, whoever made it."""
    objects: Mapping[str, Object | None] = field(default_factory=dict)
    """Services, Roles and RoleBindings."""


def compare(expected: Object, live: Live) -> Drift:
    """What differs; the sentences are in the order of the objects' names, kind by kind."""
    changed: list[str] = []
    unfinished: list[str] = []
    for name, wanted in sorted(expected["workloads"].items()):
        workload = live.workloads.get(name)
        if workload is None:
            changed.append(f"{name} is gone")
            continue
        changed += [f"{name}: {what}" for what in _workload(wanted, workload)]
        unfinished += [f"{name}: {what}" for what in _rollout(workload)]
    for name, wanted in sorted(expected["configmaps"].items()):
        data = (live.configmaps.get(name) or {}).get("data") or {}
        found = {key: _sum(value) for key, value in data.items()}
        changed += [f"configmaps/{name}: {key} is not the release's" for key in wanted if found.get(key) != wanted[key]]
    for name, said in sorted(expected.get("objects", {}).items()):
        changed += _object(name, said, live.objects.get(name))
    changed += _policies(expected.get("networkpolicies") or {}, live)
    return Drift(tuple(changed), tuple(unfinished))


def _workload(wanted: Object, live: Object) -> list[str]:
    spec = live["spec"]
    told = []
    if wanted["replicas"] is not None and spec.get("replicas") != wanted["replicas"]:
        told.append(f"{spec.get('replicas')} replicas, the release says {wanted['replicas']}")
    images = sorted({each["image"] for each in spec["template"]["spec"]["containers"]})
    if wanted["images"] is not None and images != sorted(set(wanted["images"])):
        told.append(f"runs {', '.join(images)}, the release says {', '.join(sorted(set(wanted['images'])))}")
    pod = spec["template"]["spec"]
    return told + _annotations(wanted, spec["template"]) + _variables(wanted, pod) + _parts(wanted, pod)


def _annotations(wanted: Object, template: Object) -> list[str]:
    found = template["metadata"].get("annotations") or {}
    return [
        _unlike_annotation(key, value, found.get(key))
        for key, value in wanted.get("annotations", {}).items()
        if found.get(key) != value
    ]


def _unlike_annotation(key: str, wanted: str, found: str | None) -> str:
    """Only a checksum is told: nobody knows what a hand has written into another one."""
    if not key.startswith(CHECKSUMS):
        return f"the pods' annotation {key} is not the release's"
    is_now = "absent" if found is None else found[:SHOWN]
    return f"{key} is {is_now}, the release says {wanted[:SHOWN]}"


def _variables(wanted: Object, pod: Object) -> list[str]:
    found = {name: _environment(each) for name, each in _containers(pod).items()}
    return [
        f"{name} of container {container} {_what(name, variables, found.get(container, {}))}"
        for container, variables in wanted.get("variables", {}).items()
        for name in unlike(variables, found.get(container, {}))
    ]


def _parts(wanted: Object, pod: Object) -> list[str]:
    """How its pods run, beside image and variables."""
    if "containers" not in wanted:
        return []
    said, found = wanted["containers"], _containers(pod)
    told = [f"container {name} is gone" for name in said if name not in found]
    told += [f"container {name} was added" for name in found if name not in said]
    told += [f"{part} of its pods is not the release's" for part in unlike(wanted["pod"], _picked(pod, POD_PARTS))]
    return told + [
        f"{part} of container {name} is not the release's"
        for name in said
        if name in found
        for part in unlike(said[name], _picked(found[name], CONTAINER_PARTS))
    ]


def _object(name: str, wanted: Object, live: Object | None) -> list[str]:
    """A Service has its parts in its spec, a Role has no spec."""
    if live is None:
        return [f"{name} is gone"]
    found = _picked(live.get("spec", live), OBJECT_PARTS[name.partition("/")[0]])
    return [f"{name}: {part} is not the release's" for part in unlike(wanted, found)]


def _picked(spec: Object, parts: tuple[str, ...]) -> Object:
    return {part: spec[part] for part in parts if part in spec}


def _containers(pod: Object) -> dict[str, Object]:
    """By name, those that run before the others first."""
    return {each["name"]: each for each in (*pod.get("initContainers", ()), *pod["containers"])}


def _environment(container: Object) -> dict[str, Any]:
    """Its variables as `expected` has them. `envFrom`, which the release has nowhere, is told like one of them."""
    found: dict[str, Any] = {
        each["name"]: each.get("valueFrom") or _sum(each.get("value") or "") for each in container.get("env") or ()
    }
    return found | ({"envFrom": container["envFrom"]} if container.get("envFrom") else {})


def _what(name: str, wanted: Object, found: Object) -> str:
    if name not in found:
        return "is gone"
    return "is not the release's" if name in wanted else "was added"


def _policies(wanted: Object, live: Live) -> list[str]:
    """The release's own that are gone or changed, then others' that open what it keeps closed."""
    if not wanted:
        return []
    found = {each["metadata"]["name"]: each.get("spec") or {} for each in live.policies}
    own = {name: spec for name, spec in sorted(wanted.items()) if spec is not None}
    told = [f"networkpolicies/{name} is gone" for name in own if name not in found]
    for name in sorted(own.keys() & found.keys()):
        told += [f"networkpolicies/{name}: {part} is not the release's" for part in unlike(own[name], found[name])]
    labels = {
        name: workload["spec"]["template"]["metadata"].get("labels") or {}
        for name, workload in live.workloads.items()
        if workload is not None
    }
    others = {name: opened(found[name], labels) for name in sorted(found.keys() - wanted.keys())}
    return told + [
        f"networkpolicies/{name} is not the release's, and opens {what}" for name, what in others.items() if what
    ]


def _sum(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _rollout(live: Object) -> list[str]:
    """The controller's own word. A rollout that failed leaves the old pods, which trade on."""
    status, metadata = live.get("status", {}), live["metadata"]
    if any(each.get("reason") == GIVEN_UP for each in status.get("conditions", ())):
        return ["its rollout failed; the version before trades on"]
    wanted = live["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return ["its change is not taken up yet"]
    if status.get("updatedReplicas", 0) < wanted or status.get("readyReplicas", 0) < wanted:
        ready = status.get("readyReplicas", 0)
        return [f"{status.get('updatedReplicas', 0)} of {wanted} pods are new, {ready} are ready"]
    return []
