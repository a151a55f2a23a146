"""One installed release as a person at a terminal sees it: helm, its pods, reports from the operator's pod."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from tests.e2e.cluster import Cluster, CommandFailed, eventually
from tests.integration.stack import differences

CHART = Path("deploy/helm/holdfast")
NAME = "holdfast"
"""Of the release, and with it of its objects: holdfast-execution."""
SERVICES = ("signal", "scoring", "gate", "execution", "reconciliation", "admin", "papermarket")
STORES = ("nats", "postgresql")
CRAMPED_FOLDER = "/cramped"
"""Where the reloader beside a store sees its volume, in a chart whose stores have little room."""
OURS = "e2e-"
"""What the tests add to the namespace begins so."""
OPERATOR = f"{OURS}operator"
READY_SECS = 180.0
MOVES_ON_TICKS = 5
CONSISTENT_SECS = 60.0
TELL = """
import subprocess, sys
ended = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)
sys.stdout.buffer.write(ended.stdout)
sys.exit(0 if ended.stdout else ended.returncode or "it told nothing")
"""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
ASK_VENUE = """
import json, sys, urllib.request
address, method, headers, body = sys.argv[1:]
request = urllib.request.Request(address, body.encode() or None, json.loads(headers), method=method)
print(urllib.request.urlopen(request, timeout=5).read().decode())
"""
HOLDER = """
import asyncio, json, os
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_cli.stack_calls import mounted_files, stack_calls
async def main():
    async with stack_calls(mounted_files(os.environ)) as calls:
        found = await calls.execution.get_holder(pb.GetHolderRequest())
        print(json.dumps([found.holder, found.epoch]))
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the account's lease."""

    process: str
    epoch: int

    @property
    def pod(self) -> str:
        """Its process is called after its pod."""
        return self.process.rsplit("-", 2)[0]


@dataclass(frozen=True, slots=True)
class Row:
    """What was done to the release, and how it came out of it."""

    disturbance: str
    recovery_secs: float | None
    result: str


@dataclass
class Release:
    """A release in a namespace of its own."""

    cluster: Cluster
    values: Mapping[str, Any]
    tag: str
    table: list[Row]
    reference: Mapping[str, Any] | None = None
    """The report of an undisturbed local run of the same recording."""
    chart: Path = CHART
    _files: list[Path] = field(default_factory=list)

    # helm

    def install(self, folder: Path) -> None:
        """Installs the chart into a fresh namespace that admits restricted pods only, and waits until all is ready."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace"}
        self.cluster.apply(namespace | {"metadata": {"name": self.cluster.namespace, "labels": labels}})
        file = folder / "values.yaml"
        file.write_text(yaml.safe_dump(dict(self.values)))
        self._files = [file]
        self.cluster.helm("install", NAME, str(self.chart), *self._given(), "--wait", "--timeout", "5m", limit_secs=330)
        self.bring_operator_back()

    def bring_operator_back(self) -> None:
        """Starts the operator's pod, where it is not there, and waits until policies let it through."""
        self.cluster.apply(_operator_pod(self.tag))
        self.cluster.kubectl("wait", "--for=condition=Ready", f"pod/{OPERATOR}", "--timeout=60s", limit_secs=70)
        eventually(self.status, "the operator's pod reaches the venue", READY_SECS)

    def upgrade(self, *words: str, limit_secs: float = 240.0) -> None:
        """Upgrades with further values. Raises CommandFailed where helm refuses or gives up."""
        self.cluster.helm(
            "upgrade", NAME, str(self.chart), *self._given(), *words, "--wait", "--timeout", f"{int(limit_secs)}s",
            limit_secs=limit_secs + 30,
        )  # fmt: skip

    def _given(self) -> list[str]:
        return [word for file in self._files for word in ("--values", str(file))]

    # What runs

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Pods of a component that are not about to end, without those that only look so."""
        selector = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}"
        found = self.cluster.get("pods", "--selector", selector)
        metadata = {pod["metadata"]["name"]: pod["metadata"] for pod in found}
        own = {name for name, each in metadata.items() if "deletionTimestamp" not in each and not name.startswith(OURS)}
        return [pod for pod in found if pod["metadata"]["name"] in own]

    def pod(self, component: str) -> str:
        """Name of a component's first ready pod."""
        ready = (pod["metadata"]["name"] for pod in self.pods(component) if _is_ready(pod))
        found = next(ready, None)
        if found is None:
            raise CommandFailed(f"no pod of {component} is ready")
        return str(found)

    def unready(self) -> list[str]:
        """Workloads that are not as they are wanted, or still on their way there."""
        found = self.cluster.get("deployments,statefulsets", "--selector", f"app.kubernetes.io/instance={NAME}")
        return [each["metadata"]["name"] for each in found if not _is_settled(each)]

    def restarts(self, component: str) -> int:
        """Restarts of a component's containers, all of its pods together."""
        return sum(
            status["restartCount"]
            for pod in self.pods(component)
            for status in pod["status"].get("containerStatuses", ())
        )

    # What it does

    def operate(self, *command: str, limit_secs: float = 60.0) -> str:
        """A command in the operator's pod."""
        return self.cluster.execute(OPERATOR, *command, limit_secs=limit_secs)

    def told_by(self, *command: str, limit_secs: float = 60.0) -> str:
        """What a command in the tests' operator pod tells: see `told_by_pod`."""
        return self.told_by_pod(OPERATOR, *command, limit_secs=limit_secs)

    def told_by_pod(self, pod: str, *command: str, limit_secs: float = 60.0) -> str:
        """What a command in a pod tells, whatever its exit code says of that.

        Raises CommandFailed where it tells nothing: then it could not, for now.
        """
        return self.cluster.execute(pod, "python", "-c", TELL, *command, limit_secs=limit_secs)

    def status(self) -> dict[str, Any]:
        """papermarket's own: where the replay is, and how often each fault has fired."""
        return self._ask_venue("status")

    def venue_orders(self) -> list[dict[str, Any]]:
        """Every order that papermarket has accepted."""
        found: list[dict[str, Any]] = self._ask_venue("books")["orders"]
        return found

    def break_venue(self, *faults: Mapping[str, Any]) -> None:
        """Puts these faults in the place of all that papermarket has (docs/faults.md); none of them: it works again."""
        names = {"APCA-API-KEY-ID": "ALPACA_API_KEY", "APCA-API-SECRET-KEY": "ALPACA_SECRET_KEY"}
        keys = {header: self.secret(f"{NAME}-broker", name) for header, name in names.items()}
        plan = json.dumps({"seed": 7, "faults": faults})
        eventually(lambda: self._ask_venue("faults", "PUT", keys, plan), "the venue takes the faults", READY_SECS)

    def _ask_venue(
        self, page: str, method: str = "GET", headers: Mapping[str, str] = NO_HEADERS, body: str = ""
    ) -> dict[str, Any]:
        address = f"http://{NAME}-papermarket:8081/papermarket/v1/{page}"
        told = self.operate("python", "-c", ASK_VENUE, address, method, json.dumps(dict(headers)), body)
        found: dict[str, Any] = json.loads(told)
        return found

    def secret(self, name: str, key: str) -> str:
        """A value of a Secret of the release's."""
        (found,) = self.cluster.get("secret", name)
        return base64.b64decode(found["data"][key]).decode()

    def ledger(self, query: str) -> list[str]:
        """Rows of the ledger's database, as docs/backup.md gets there; columns are parted by a bar."""
        psql = ("psql", "-h", "/var/run/postgresql", "-U", "postgres", "--no-align", "--tuples-only", "holdfast")
        return self.cluster.execute(f"{NAME}-postgresql-0", *psql, "--command", query).splitlines()

    def holder(self) -> Holder:
        """Who holds the account, once somebody does."""
        told = eventually(lambda: self.operate("python", "-c", HOLDER), "execution tells its holder", READY_SECS)
        return Holder(*json.loads(told))

    def open_points(self) -> str:
        """What `holdfast ready` says: the light, and what is open with what to do."""
        return self.told_by("holdfast", "ready")

    def report(self, *options: str, limit_secs: float = 60.0) -> dict[str, Any]:
        """The report of what has been traded until now; an invariant that does not hold is in it."""
        found: dict[str, Any] = json.loads(self.told_by("holdfast", "report", *options, limit_secs=limit_secs))
        return found

    def wait_until_ready(self, limit_secs: float = READY_SECS) -> None:
        eventually(lambda: not self.unready(), "every workload ready", limit_secs)

    def wait_until_it_moves_on(self, limit_secs: float = READY_SECS) -> None:
        """Until the replay has come further than it is now: in lock-step that needs every service."""
        first = eventually(self.status, "the venue answers", limit_secs)

        def further() -> bool:
            now = self.status()
            return bool(now["ended"]) or now["tick"] >= first["tick"] + MOVES_ON_TICKS

        eventually(further, "market time moves on", limit_secs)

    def check(self) -> dict[str, Any]:
        """No duplicate order, ledger equals broker, no lost cycle: every order and fill until now is the local run's.

        The books are read while they are traded in, so a reading that does not agree is taken again.
        """
        held: list[Any] = []

        def consistent() -> dict[str, Any] | None:
            found = self.report()
            held[:] = [each for each in found["invariants"] if not each["held"]]
            if any(each["name"] == "no_duplicate_order" for each in held):
                raise AssertionError(f"a duplicate order: {held}")
            return None if held else found

        try:
            found = eventually(consistent, "every invariant holds", CONSISTENT_SECS)
        except AssertionError as error:
            raise AssertionError(f"{error}; {held}") from error
        assert found is not None
        if self.reference is not None:
            assert_beginning_of(found, self.reference)
        return found

    @contextmanager
    def disturbed(self, disturbance: str, *, until: Callable[[], Any] = lambda: True) -> Iterator[None]:
        """Around a disturbance: measures until `until`, all ready and trading again, then checks and notes the row."""
        before = eventually(self.status, "the venue answers", READY_SECS)
        moving = "" if not before["ended"] else " (after the recording's end)"
        began_secs = time.monotonic()
        try:
            yield
            eventually(until, f"recovery from: {disturbance}", READY_SECS)
            self.wait_until_ready()
            self.wait_until_it_moves_on()
            took_secs = time.monotonic() - began_secs
            self.check()
        except BaseException:
            self.table.append(Row(disturbance, None, "FAILED"))
            raise
        self.table.append(Row(disturbance + moving, took_secs, "as undisturbed"))


def assert_beginning_of(found: Mapping[str, Any], reference: Mapping[str, Any]) -> None:
    """Every fill and order of a run that still goes on is the undisturbed run's, and none is missing."""
    for what, rows in (("fills", _fills), ("orders", _orders)):
        has, wanted = rows(found), rows(reference)
        until_now = {what: wanted[: len(has)]}
        assert not (different := differences({what: has}, until_now)), f"not as in the undisturbed run:\n{different}"


def _fills(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    keys = ("filled_at", "symbol", "strategy", "side", "quantity", "price", "realised_pnl", "intent_id")
    return sorted(tuple(fill[key] for key in keys) for fill in report["fills"])


def _orders(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    # To the second: whoever comes back asks for ticks of its own, of a millisecond, and an order may be stored in one.
    keys = ("intent_id", "strategy", "symbol", "side", "purpose", "type", "quantity")
    return sorted((order["created_at"][:19], *(order[key] for key in keys)) for order in report["orders"])


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _is_settled(workload: Mapping[str, Any]) -> bool:
    wanted, status = workload["spec"]["replicas"], workload["status"]
    counts = [status.get(key, 0) for key in ("replicas", "readyReplicas", "updatedReplicas")]
    return status.get("observedGeneration") == workload["metadata"]["generation"] and counts == [wanted] * 3


def selector_labels(component: str) -> dict[str, str]:
    """What makes a pod one of the component's, for policies."""
    return {
        "app.kubernetes.io/name": "holdfast",
        "app.kubernetes.io/instance": NAME,
        "app.kubernetes.io/component": component,
    }


def bystander(name: str, component: str, image: str) -> dict[str, Any]:
    """A pod with a component's labels that only sleeps. Never ready, so that no Service sends anybody to it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": selector_labels(component)},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", "import signal; signal.pause()"],
                    "readinessProbe": {"exec": {"command": ["python", "-c", "exit(1)"]}, "periodSeconds": 300},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def plain_pod(name: str, image: str) -> dict[str, Any]:
    """A pod that is nobody's, and ready."""
    pod = bystander(name, "nobody", image)
    del pod["metadata"]["labels"]
    del pod["spec"]["containers"][0]["readinessProbe"]
    return pod


def _operator_pod(tag: str) -> dict[str, Any]:
    """The `holdfast` command under the operator's identity."""
    pod = plain_pod(OPERATOR, f"holdfast/cli:{tag}")
    pod["metadata"]["labels"] = selector_labels("operator")
    (container,) = pod["spec"]["containers"]
    container["env"] = [
        {"name": "HOLDFAST_CONFIG", "value": "/etc/holdfast/holdfast.yaml"},
        {"name": "HOLDFAST_CERTIFICATES", "value": "/etc/holdfast/certificates"},
    ]
    container["volumeMounts"] = [
        {"name": "configuration", "mountPath": "/etc/holdfast/holdfast.yaml", "subPath": "holdfast.yaml"},
        {"name": "certificates", "mountPath": "/etc/holdfast/certificates"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    keys = {"ca.crt": "ca.crt", "tls.crt": "operator.crt", "tls.key": "operator.key"}
    pod["spec"]["volumes"] = [
        {"name": "configuration", "configMap": {"name": f"{NAME}-configuration"}},
        {
            "name": "certificates",
            "secret": {
                "secretName": f"{NAME}-certificate-operator",
                "items": [{"key": key, "path": path} for key, path in keys.items()],
            },
        },
        {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
    ]
    return pod
