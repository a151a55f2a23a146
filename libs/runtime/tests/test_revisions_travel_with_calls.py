"""A service learns of which release its caller is; those that do not understand each other are told apart (SQ-8)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.gate.v1 import gate_pb2
from holdfast_runtime import calls
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.identity import Authority
from holdfast_runtime.ports.calls import GateCalls
from holdfast_runtime.revisions import METADATA, OWN, Revisions
from holdfast_runtime.rpc import client
from holdfast_runtime.rpc.client import Remotes
from holdfast_runtime.rpc.server import RpcServer

pytestmark = pytest.mark.usefixtures("patient_calls")

CLOCK = SystemMonotonicClock()


@dataclass
class Gate:
    """Remembers of which release its callers were."""

    callers: list[Revisions] = field(default_factory=list)

    async def evaluate(self, request: gate_pb2.EvaluateRequest) -> gate_pb2.EvaluateResponse:
        call = calls.current()
        assert call is not None
        self.callers.append(call.revisions)
        return gate_pb2.EvaluateResponse()

    async def list_gates(self, request: gate_pb2.ListGatesRequest) -> gate_pb2.ListGatesResponse:
        return gate_pb2.ListGatesResponse()


async def test_the_caller_tells_and_one_that_tells_nothing_is_of_no_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, gate = Authority(now=datetime.now(UTC)), Gate()
    server = RpcServer(identity=authority.issue("gate"), clock=CLOCK, activity=ActivityTracker())
    server.add(GateCalls, gate, {})
    remotes = Remotes(identity=authority.issue("scoring"), clock=CLOCK)
    caller = remotes.remote(GateCalls, "gate", f"127.0.0.1:{await server.start('127.0.0.1:0')}")
    await caller.evaluate(gate_pb2.EvaluateRequest())
    monkeypatch.setattr(client, "METADATA", f"{METADATA}-of-nobody")
    await caller.evaluate(gate_pb2.EvaluateRequest())
    await remotes.close()
    await server.stop(0)
    assert gate.callers == [OWN, Revisions(0, 0)]


@pytest.mark.parametrize(
    ("one", "other", "understood"),
    [
        (Revisions(1, 1), Revisions(1, 1), True),
        (Revisions(2, 1), Revisions(1, 1), True),
        (Revisions(2, 2), Revisions(1, 1), False),
        (Revisions(3, 2), Revisions(2, 1), True),
        (Revisions(1, 1), Revisions.read("half a word"), False),
    ],
)
def test_both_must_be_new_enough_for_the_other(one: Revisions, other: Revisions, understood: bool) -> None:
    assert one.understands(other) is other.understands(one) is understood
    assert Revisions.read(str(one)) == one
