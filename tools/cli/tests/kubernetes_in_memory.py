"""An API server for the thin client: objects with versions, and the refusals that a real one gives."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

from holdfast_runtime.kubernetes import Cluster

Key = tuple[str, str]


@dataclass
class InMemory:
    """`denied`: (method, kind) that the Role does not have. `conflicts_left`: writes that come too late."""

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    writes: list[tuple[str, str]] = field(default_factory=list)
    conflicts_left: int = 0

    def cluster(self, namespace: str = "trading") -> Cluster:
        return Cluster(httpx.Client(base_url="http://api", transport=httpx.MockTransport(self._answer)), namespace)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        # /api/v1/namespaces/<namespace>/<kind>[/<name>]
        namespace, kind, name = [*request.url.path.partition("/namespaces/")[2].split("/"), ""][:3]
        assert namespace == "trading"
        if (request.method, kind) in self.denied:
            return _refused(403, f"{kind} is forbidden: cannot {request.method}")
        body = json.loads(request.content) if request.content else {}
        match request.method:
            case "GET":
                found = self.objects.get((kind, name))
                return httpx.Response(200, json=found) if found else _refused(404, "not found")
            case "DELETE":
                return httpx.Response(200, json={}) if self.objects.pop((kind, name), None) else _refused(404, "gone")
        name = body["metadata"]["name"]
        held = self.objects.get((kind, name))
        if self.conflicts_left:
            self.conflicts_left -= 1
            return _refused(409, "the object has been modified")
        if request.method == "POST" and held is not None:
            return _refused(409, "already exists")
        if request.method == "PUT":
            if held is None:
                return _refused(404, "not found")
            if body["metadata"]["resourceVersion"] != held["metadata"]["resourceVersion"]:
                return _refused(409, "the object has been modified")
        body["metadata"]["resourceVersion"] = secrets.token_hex(4)
        self.objects[(kind, name)] = body
        self.writes.append((request.method, name))
        return httpx.Response(200, json=body)


def _refused(code: int, message: str) -> httpx.Response:
    return httpx.Response(code, json={"kind": "Status", "message": message})
