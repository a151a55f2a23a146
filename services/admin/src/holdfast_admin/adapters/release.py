"""The release as the cluster holds it, read as admin's own ServiceAccount (IN-7)."""

import asyncio
import json
from collections.abc import Callable, Mapping

from holdfast_admin.domain.drift import Drift, Live, compare
from holdfast_admin.domain.manifests import Object
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.kubernetes import Cluster

EXPECTED_VARIABLE = "HOLDFAST_RELEASE_EXPECTED"
"""Names the ConfigMap that the chart renders; absent outside of a cluster."""
APPS = "apps/v1"
NETWORKING = "networking.k8s.io/v1"
RBAC = "rbac.authorization.k8s.io/v1"
GROUPS = {"services": "", "roles": RBAC, "rolebindings": RBAC}
"""Of the other objects that the release names, by kind."""


class Release:
    """Compares live objects with the release's own word. Each look is a few requests, off the event loop."""

    def __init__(self, environ: Mapping[str, str], cluster: Callable[[], Cluster] = Cluster.of_pod) -> None:
        self._expected_name = environ.get(EXPECTED_VARIABLE, "")
        self._cluster = cluster

    @property
    def in_cluster(self) -> bool:
        return bool(self._expected_name)

    async def look(self) -> Drift:
        """What differs now. Raises AskPerson where a right or the release's word lacks, Retry where the API is away."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Drift:
        with self._cluster() as cluster:
            found = cluster.get("configmaps", self._expected_name)
            if found is None:
                raise AskPerson(
                    f"ConfigMap {self._expected_name} is gone", steps=("Apply the release again: helm upgrade.",)
                )
            expected: Object = json.loads(found["data"]["expected.json"])
            workloads = {each: cluster.get(*each.split("/"), group=APPS) for each in expected["workloads"]}
            configmaps = {name: cluster.get("configmaps", name) for name in expected["configmaps"]}
            objects = {each: _named(cluster, each) for each in expected.get("objects", ())}
            # A release without policies of its own gives no right to look at others'.
            policies = cluster.all_of("networkpolicies", group=NETWORKING) if expected.get("networkpolicies") else ()
        return compare(expected, Live(workloads, configmaps, policies, objects))


def _named(cluster: Cluster, which: str) -> Object | None:
    kind, name = which.split("/")
    return cluster.get(kind, name, group=GROUPS[kind])
