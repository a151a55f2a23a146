"""The cluster of the current kube context, by kubectl and helm as a person uses them: every call has a deadline."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

LOOK_EVERY_SECS = 0.5
CALL_SECS = 60.0
LOADERS = {
    "kind-": "kind load docker-image --name {rest}",
    "k3d-": "k3d image import --cluster {rest}",
    "minikube": "minikube image load --profile {context}",
    "docker-desktop": "",
    "rancher-desktop": "",
    "orbstack": "",
}
"""By the context's beginning: the command that makes local images known to the nodes; empty: they are already."""

Found = TypeVar("Found")


class NoCluster(Exception):
    """There is nothing to test against; the message says why and what to do."""


class CommandFailed(AssertionError):
    """A command ended with an error or not at all; the message has its words."""


def run(*command: str, limit_secs: float = CALL_SECS, given: str | None = None) -> str:
    """The standard output of a command. Raises CommandFailed."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=limit_secs, input=given, check=False)
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"not within {limit_secs} s: {shlex.join(command)[:400]}") from error
    if ended.returncode:
        said = f"{ended.stdout[-1500:]}{ended.stderr[-3000:]}"
        raise CommandFailed(f"exit code {ended.returncode}: {shlex.join(command)[:400]}\n{said}")
    return ended.stdout


def eventually(look: Callable[[], Found], what: str, limit_secs: float) -> Found:
    """What `look` gives once it is true; while it raises CommandFailed it is asked again. Fails naming `what`."""
    give_up = time.monotonic() + limit_secs
    last: object = None
    while time.monotonic() < give_up:
        try:
            if found := look():
                return found
            last = found
        except CommandFailed as error:
            last = error
        time.sleep(LOOK_EVERY_SECS)
    raise AssertionError(f"not within {limit_secs} s: {what}; last seen: {last}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """kubectl and helm in one namespace."""

    context: str
    namespace: str

    def kubectl(self, *words: str, limit_secs: float = CALL_SECS, given: str | None = None) -> str:
        return run(
            "kubectl", "--context", self.context, "--namespace", self.namespace, *words,
            limit_secs=limit_secs, given=given,
        )  # fmt: skip

    def helm(self, *words: str, limit_secs: float = CALL_SECS) -> str:
        return run("helm", "--kube-context", self.context, "--namespace", self.namespace, *words, limit_secs=limit_secs)

    def get(self, *words: str) -> list[dict[str, Any]]:
        """Objects, as the cluster has them."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "--output", "json"))
        items: list[dict[str, Any]] = found.get("items", [found])
        return items

    def apply(self, *objects: Mapping[str, Any]) -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--filename", "-", given=json.dumps(whole))

    def execute(self, pod: str, *command: str, limit_secs: float = CALL_SECS) -> str:
        """The standard output of a command in a pod's first container."""
        return self.kubectl("exec", pod, "--", *command, limit_secs=limit_secs)


def current_context() -> str:
    """The kube context to test against. Raises NoCluster, and refuses clusters that are not a developer's own."""
    for program in ("kubectl", "helm", "docker"):
        if shutil.which(program) is None:
            raise NoCluster(f"{program} is not installed")
    try:
        context = run("kubectl", "config", "current-context").strip()
        run("kubectl", "--context", context, "get", "nodes", "--request-timeout", "10s")
    except CommandFailed as error:
        raise NoCluster(f"no cluster answers; start one (kind, k3d, minikube …)\n{error}") from error
    if not context.startswith(tuple(LOADERS)) and os.environ.get("E2E_CONTEXT") != context:
        raise NoCluster(
            f"the context {context!r} is not known as a cluster on a developer's machine, and these tests drain its "
            f"nodes: E2E_CONTEXT={context} E2E_LOAD='<command that loads images>' says that this is meant"
        )
    return context


def load(context: str, images: Iterable[str]) -> None:
    """Makes local images known to the cluster's nodes; those that this machine lacks are pulled by the nodes."""
    local = [image for image in images if _is_local(image)]
    command = os.environ.get("E2E_LOAD")
    if command is None:
        prefix = next((each for each in LOADERS if context.startswith(each)), "")
        command = LOADERS.get(prefix, "").format(context=context, rest=context.removeprefix(prefix))
    if command and local:
        run(*shlex.split(command), *local, limit_secs=600.0)


def _is_local(image: str) -> bool:
    try:
        run("docker", "image", "inspect", image)
    except CommandFailed:
        return False
    return True
