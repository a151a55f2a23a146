"""Does the cluster hold what the release says (IN-7). Pure: both sides are given.

`expected` is what the chart renders (`templates/release-expected.yaml`):
  {"revision": 3, "workloads": {"deployments/holdfast-gate": {"replicas": 2, "images": ["holdfast/gate:1.2"],
   "annotations": {"checksum/configuration": "ab…"}}, …},
   "configmaps": {"holdfast-configuration": {"holdfast.yaml": "cd…"}}}
`replicas` null: something else scales it. `images` null: who develops gives them other names. `annotations`: of the pod
template. Values of ConfigMaps are SHA-256 sums.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
GIVEN_UP = "ProgressDeadlineExceeded"
SHOWN = 12
"""Characters of a checksum that are told."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs, each a sentence that names its object."""

    changed: tuple[str, ...]
    """It is not what the release says."""
    unfinished: tuple[str, ...]
    """It is, but its pods are not yet."""


def compare(expected: Object, workloads: Mapping[str, Object | None], configmaps: Mapping[str, Object | None]) -> Drift:
    """`workloads` and `configmaps`: the live objects by the names that `expected` uses; None: there is none."""
    changed: list[str] = []
    unfinished: list[str] = []
    for name, wanted in sorted(expected["workloads"].items()):
        live = workloads.get(name)
        if live is None:
            changed.append(f"{name} is gone")
            continue
        changed += [f"{name}: {what}" for what in _workload(wanted, live)]
        unfinished += [f"{name}: {what}" for what in _rollout(live)]
    for name, wanted in sorted(expected["configmaps"].items()):
        data = (configmaps.get(name) or {}).get("data") or {}
        found = {key: hashlib.sha256(value.encode()).hexdigest() for key, value in data.items()}
        changed += [f"configmaps/{name}: {key} is not the release's" for key in wanted if found.get(key) != wanted[key]]
    return Drift(tuple(changed), tuple(unfinished))


def _workload(wanted: Object, live: Object) -> list[str]:
    spec = live["spec"]
    told = []
    if wanted["replicas"] is not None and spec.get("replicas") != wanted["replicas"]:
        told.append(f"{spec.get('replicas')} replicas, the release says {wanted['replicas']}")
    images = sorted({each["image"] for each in spec["template"]["spec"]["containers"]})
    if wanted["images"] is not None and images != sorted(set(wanted["images"])):
        told.append(f"runs {', '.join(images)}, the release says {', '.join(sorted(set(wanted['images'])))}")
    annotations = spec["template"]["metadata"].get("annotations") or {}
    for key, value in wanted.get("annotations", {}).items():
        if annotations.get(key) != value:
            is_now = str(annotations.get(key, "absent"))
            told.append(f"{key} is {is_now[:SHOWN]}, the release says {value[:SHOWN]}")
    return told


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
