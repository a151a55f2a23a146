"""Looks at a running stack and knocks at its doors as somebody who has the run's folder: any service, or a stranger."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2

from holdfast_cli import report_command
from holdfast_cli.plan import SERVICES, VENUE_SERVICE
from holdfast_cli.stack_calls import files_of_run, stack_calls
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.identity import Authority, load_identity
from holdfast_runtime.rpc.client import Remotes
from tests.integration.stack import Stack

Port = TypeVar("Port")
Result = TypeVar("Result")

ALL_SERVICES = (VENUE_SERVICE, *SERVICES)
CALL_SECS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What HTTP gave back."""

    status: int
    text: str = field(repr=False)

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


def secret(stack: Stack, service: str, name: str) -> str:
    return (stack.folder / "secrets" / service / name).read_text()


@asynccontextmanager
async def bus_of(stack: Stack) -> AsyncIterator[NatsBus]:
    """The stack's bus, with the token of a service."""
    bus = NatsBus(url=stack.settings["bus"]["url"], name="visitor", token=secret(stack, "signal", "NATS_TOKEN"))
    await bus.connect()
    try:
        yield bus
    finally:
        await bus.close()


def call(
    stack: Stack,
    port: type[Port],
    service: str,
    work: Callable[[Port], Coroutine[Any, Any, Result]],
    *,
    identity: str,
    stranger: bool = False,
) -> Result:
    """Runs `work` with a caller of `service` that shows the run's certificate of `identity`; as a `stranger`, one that
    another authority has issued to that name."""

    async def run() -> Result:
        shown = load_identity(stack.folder / "certificates", identity)
        if stranger:
            issued = Authority(now=datetime.now(UTC)).issue(identity)
            # It trusts the run's authority: the one that refuses is the stack.
            shown = replace(issued, authority=shown.authority)
        remotes = Remotes(identity=shown, clock=SystemMonotonicClock())
        try:
            return await work(remotes.remote(port, service, stack.settings["endpoints"][service]))
        finally:
            await remotes.close()

    return asyncio.run(run())


def report_of(stack: Stack) -> dict[str, Any]:
    """The report as `--until-end` would write it: what does not answer just now is asked again, in bounds."""

    async def run() -> dict[str, Any]:
        async with stack_calls(files_of_run(stack.folder)) as calls:
            return (await report_command.gather(calls))[0]

    return asyncio.run(run())


def health(stack: Stack, service: str, what: str) -> bool:
    """`liveness` or `readiness` of a service, asked as the supervisor asks."""
    with grpc.insecure_channel(stack.settings["endpoints"][f"{service}.health"]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(service=what), timeout=CALL_SECS, wait_for_ready=True)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def pids(stack: Stack) -> dict[str, int]:
    return {service: stack.pid(service) for service in (*ALL_SERVICES, "nats")}


def http(
    address: str, *, body: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
) -> Answer:
    """One request; an error status is an answer too."""
    request = urllib.request.Request(address, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECS) as answer:
            return Answer(answer.status, answer.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode(errors="replace"))


def admin(stack: Stack, path: str) -> str:
    settings = stack.settings["admin"]
    return f"http://{settings['host']}:{settings['port']}{path}"


def venue(stack: Stack, path: str) -> str:
    return f"http://{stack.settings['endpoints']['papermarket.http']}{path}"


def break_venue(stack: Stack, fault: dict[str, Any]) -> None:
    """Adds one fault to those that papermarket has now (docs/faults.md)."""
    keys = {
        "APCA-API-KEY-ID": secret(stack, "papermarket", "ALPACA_API_KEY"),
        "APCA-API-SECRET-KEY": secret(stack, "papermarket", "ALPACA_SECRET_KEY"),
    }
    answer = http(venue(stack, "/papermarket/v1/faults"), body=json.dumps(fault).encode(), headers=keys)
    assert answer.status == 200, answer.body


def files_below(folder: Path) -> list[Path]:
    """Every file, sockets and links left out."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
