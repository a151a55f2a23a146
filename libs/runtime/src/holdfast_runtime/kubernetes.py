"""The little of the Kubernetes API that is needed: objects of one namespace, read and written whole.

In a pod it speaks as the pod's ServiceAccount; elsewhere through `kubectl proxy`. Its rights are what the chart's Role
says, by name: a refusal tells which right lacks.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from holdfast_runtime.errors import AskPerson, GiveUp, Retry

ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECS = 10.0

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


class Conflict(Retry):
    """Somebody else has made or changed the object since it was read: read it again."""


class Cluster:
    """One API server, one namespace. Raises AskPerson where a right lacks, Retry where the server cannot be reached."""

    def __init__(self, client: httpx.Client, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    @classmethod
    def of_pod(cls, environ: Mapping[str, str] = os.environ, folder: Path = ACCOUNT_FOLDER) -> "Cluster":
        """The cluster that this pod runs in. Raises AskPerson outside of one."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
        try:
            token = (folder / "token").read_text().strip()
            namespace = (folder / "namespace").read_text().strip()
        except OSError as error:
            host, namespace, token = "", "", str(error)
        if not host:
            raise AskPerson(
                "this is no pod with a ServiceAccount's token",
                steps=("run it in the cluster, or beside `kubectl proxy` with --server http://127.0.0.1:8001",),
            )
        address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        client = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {token}"},
            verify=str(folder / "ca.crt"),
            timeout=TIMEOUT_SECS,
        )
        return cls(client, namespace)

    @classmethod
    def at(cls, url: str, namespace: str) -> "Cluster":
        """Behind an address that asks for no token: `kubectl proxy`."""
        return cls(httpx.Client(base_url=url, timeout=TIMEOUT_SECS), namespace)

    def get(self, kind: str, name: str, *, group: str = "") -> Object | None:
        """The object, or None where there is none. `kind` in the plural of the address: secrets, deployments.
        `group`: apps/v1 and the like; empty for the core's."""
        answer = self._ask("GET", f"{self._path(kind, group)}/{name}", allowed=(200, 404))
        return None if answer.status_code == httpx.codes.NOT_FOUND else dict(answer.json())

    def all_of(self, kind: str, *, group: str = "") -> list[Object]:
        """Every object of the kind in the namespace, in one answer."""
        return [dict(each) for each in self._ask("GET", self._path(kind, group)).json()["items"]]

    def create(self, kind: str, body: Object, *, group: str = "") -> Object:
        """Raises Conflict where it is there already."""
        return dict(self._ask("POST", self._path(kind, group), body=body).json())

    def replace(self, kind: str, body: Object, *, group: str = "") -> Object:
        """Writes it whole. Raises Conflict where it is no longer what was read (its resourceVersion)."""
        return dict(self._ask("PUT", f"{self._path(kind, group)}/{body['metadata']['name']}", body=body).json())

    def delete(self, kind: str, name: str, *, group: str = "") -> bool:
        """False where there was none."""
        answer = self._ask("DELETE", f"{self._path(kind, group)}/{name}", allowed=(200, 202, 404))
        return answer.status_code != httpx.codes.NOT_FOUND

    def _path(self, kind: str, group: str) -> str:
        root = f"apis/{group}" if group else "api/v1"
        return f"/{root}/namespaces/{self.namespace}/{kind}"

    def _ask(
        self, method: str, path: str, *, body: Object | None = None, allowed: tuple[int, ...] = (200, 201)
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise Retry(f"the Kubernetes API does not answer: {error}") from error
        if answer.status_code in allowed:
            return answer
        told = f"{method} {path}: {_message(answer)}"
        if answer.status_code == httpx.codes.CONFLICT:
            raise Conflict(told)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise AskPerson(told, steps=(f"give the ServiceAccount the right that lacks: {_message(answer)}",))
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or answer.status_code == 429:
            raise Retry(told)
        raise GiveUp(told)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
