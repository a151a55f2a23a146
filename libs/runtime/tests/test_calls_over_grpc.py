"""A port is the same port over gRPC: identity, deadlines, typed errors and bounds (SE-5, IN-4, EX-1)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.gate.v1 import gate_pb2
from holdfast_runtime import calls
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.errors import NOT_HOLDER, Code, Malformed, Refused, Retry
from holdfast_runtime.health import Health
from holdfast_runtime.identity import Authority, load_identity
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls
from holdfast_runtime.rpc.client import HOLDER_PAUSES_SECS, Remotes
from holdfast_runtime.rpc.server import MAX_MESSAGE_BYTES, RpcServer
from holdfast_runtime.secrets import register_secret

pytestmark = pytest.mark.usefixtures("patient_calls")

CLOCK = SystemMonotonicClock()


@dataclass
class Execution:
    """Answers as told, and remembers who called."""

    answer: pb.SubmitResponse | Exception = field(default_factory=lambda: pb.SubmitResponse(ledger_version=7))
    callers: list[str] = field(default_factory=list)
    left_secs: list[float] = field(default_factory=list)

    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitResponse:
        call = calls.current()
        assert call is not None
        self.callers.append(call.caller)
        self.left_secs.append(call.deadline_secs - CLOCK.now_secs())
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def watch_snapshot(self, request: pb.WatchSnapshotRequest) -> AsyncIterator[pb.WatchSnapshotResponse]:
        for version in (1, 2, 3):
            yield pb.WatchSnapshotResponse(snapshot=pb.LedgerSnapshot(version=version))

    def __getattr__(self, name: str) -> object:
        async def unused(request: object) -> object:
            raise AssertionError(f"{name} is not part of this test")

        return unused


@dataclass
class Gate:
    """Calls execution on behalf of its own caller."""

    execution: ExecutionCalls

    async def evaluate(self, request: gate_pb2.EvaluateRequest) -> gate_pb2.EvaluateResponse:
        answer = await self.execution.submit(pb.SubmitRequest(cycle_id=request.cycle_id))
        return gate_pb2.EvaluateResponse(ledger_version=answer.ledger_version)

    async def list_gates(self, request: gate_pb2.ListGatesRequest) -> gate_pb2.ListGatesResponse:
        return gate_pb2.ListGatesResponse()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    Authority(now=datetime.now(UTC)).write(tmp_path, ["execution", "gate", "admin", "scoring"])
    return tmp_path


@dataclass
class Served:
    service: Execution
    address: str
    certificates: Path
    remotes: list[Remotes] = field(default_factory=list)

    def called_by(self, identity: str) -> ExecutionCalls:
        remotes = Remotes(identity=load_identity(self.certificates, identity), clock=CLOCK)
        self.remotes.append(remotes)
        return remotes.remote(ExecutionCalls, "execution", self.address)


@pytest.fixture
async def served(certificates: Path) -> AsyncIterator[Served]:
    service = Execution()
    server = RpcServer(identity=load_identity(certificates, "execution"), clock=CLOCK, activity=ActivityTracker())
    server.add(ExecutionCalls, service, {"submit": frozenset({"gate"})})
    port = await server.start("127.0.0.1:0")
    found = Served(service, f"127.0.0.1:{port}", certificates)
    yield found
    for remotes in found.remotes:
        await remotes.close()
    await server.stop(0)


async def test_a_service_learns_its_caller_from_the_certificate(served: Served) -> None:
    answer = await served.called_by("gate").submit(pb.SubmitRequest(cycle_id="c"))
    assert answer.ledger_version == 7
    assert served.service.callers == ["gate"]


async def test_only_the_gate_may_submit(served: Served) -> None:
    with pytest.raises(Refused) as refusal:
        await served.called_by("admin").submit(pb.SubmitRequest(cycle_id="c"))
    assert refusal.value.code is Code.PERMISSION_DENIED
    assert refusal.value.reason == "CALLER_NOT_ALLOWED"
    assert served.service.callers == []


async def test_a_plaintext_client_is_refused(served: Served) -> None:
    async with grpc.aio.insecure_channel(served.address) as channel:
        call = channel.unary_unary("/holdfast.execution.v1.ExecutionService/Submit")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"", timeout=30)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert served.service.callers == []


async def test_a_certificate_of_another_authority_is_refused(served: Served, tmp_path: Path) -> None:
    Authority(now=datetime.now(UTC)).write(tmp_path / "other", ["gate"])
    remotes = Remotes(identity=load_identity(tmp_path / "other", "gate"), clock=CLOCK)
    with pytest.raises(Retry):
        await remotes.remote(ExecutionCalls, "execution", served.address).submit(pb.SubmitRequest())
    await remotes.close()
    assert served.service.callers == []


@pytest.mark.parametrize(
    "raised",
    [
        Refused(Code.FAILED_PRECONDITION, "NOT_HOLDER", "another holds the lease", {"holder": "execution-2"}),
        Retry("the ledger is busy", after_secs=1.5),
        Malformed("quantity: 'x' is not a decimal number"),
    ],
)
async def test_a_typed_error_arrives_as_the_same_typed_error(served: Served, raised: Exception) -> None:
    served.service.answer = raised
    with pytest.raises(type(raised)) as received:
        await served.called_by("gate").submit(pb.SubmitRequest(cycle_id="c"))
    assert str(raised) in str(received.value)
    if isinstance(raised, Refused):
        assert isinstance(received.value, Refused)
        assert (received.value.reason, received.value.metadata) == (raised.reason, raised.metadata)
    if isinstance(raised, Retry):
        assert isinstance(received.value, Retry)
        assert received.value.after_secs == raised.after_secs
        assert len(served.service.callers) == 1, "a call that places an order is never retried by the channel"


async def test_what_a_venue_shows_of_a_credential_does_not_travel_on(served: Served) -> None:
    """SE-2, invariant 17 of the order protocol: found by the simulated world, whose broker shows a key in its 401."""
    register_secret("credential-that-a-401-shows")
    served.service.answer = Refused(Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED", "401: credential-that-a-401-shows")

    with pytest.raises(Refused) as refusal:
        await served.called_by("gate").submit(pb.SubmitRequest(cycle_id="c"))

    assert refusal.value.reason == "CREDENTIALS_REFUSED"
    assert "credential-that-a-401-shows" not in str(refusal.value)


async def test_an_unexpected_error_is_answered_and_tells_nothing_inside(served: Served) -> None:
    served.service.answer = ZeroDivisionError("secret detail")
    with pytest.raises(Refused) as refusal:
        await served.called_by("gate").submit(pb.SubmitRequest(cycle_id="c"))
    assert refusal.value.code is Code.INTERNAL
    assert "secret detail" not in str(refusal.value)


async def test_a_call_without_a_deadline_is_refused(served: Served) -> None:
    identity = load_identity(served.certificates, "gate")
    credentials = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
    options = (("grpc.ssl_target_name_override", "execution"),)
    async with grpc.aio.secure_channel(served.address, credentials, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary("/holdfast.execution.v1.ExecutionService/Submit")(b"")
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_oversized_request_is_refused_and_never_served(served: Served) -> None:
    with pytest.raises(Refused) as refusal:
        await served.called_by("gate").submit(pb.SubmitRequest(cycle_id="x" * (MAX_MESSAGE_BYTES + 1)))
    assert refusal.value.code is Code.RESOURCE_EXHAUSTED
    assert served.service.callers == []


async def test_the_deadline_shrinks_along_the_chain(served: Served, certificates: Path) -> None:
    remotes = Remotes(identity=load_identity(certificates, "gate"), clock=CLOCK)
    gate = Gate(remotes.remote(ExecutionCalls, "execution", served.address))
    calls.enter(calls.Call(caller="scoring", deadline_secs=CLOCK.now_secs() + 30.0))
    try:
        answer = await gate.evaluate(gate_pb2.EvaluateRequest(cycle_id="c"))
    finally:
        calls.enter(None)
        await remotes.close()
    assert answer.ledger_version == 7
    assert 0 < served.service.left_secs[0] <= 30.0


async def test_a_stream_brings_every_answer_in_order(served: Served) -> None:
    stream = served.called_by("gate").watch_snapshot(pb.WatchSnapshotRequest())
    assert [answer.snapshot.version async for answer in stream] == [1, 2, 3]


async def test_a_service_that_is_away_is_a_retry(certificates: Path) -> None:
    remotes = Remotes(identity=load_identity(certificates, "scoring"), clock=CLOCK)
    with pytest.raises(Retry):
        await remotes.remote(GateCalls, "gate", "127.0.0.1:1").evaluate(gate_pb2.EvaluateRequest())
    await remotes.close()


async def test_a_way_is_examined_under_the_own_identity_on_a_connection_of_its_own(
    certificates: Path, tmp_path: Path
) -> None:
    """IN-8: the answer is the other one's own health; what is in the way is named."""
    health = Health(CLOCK)
    server = RpcServer(identity=load_identity(certificates, "execution"), clock=CLOCK, activity=ActivityTracker())
    server.answer_health(health)
    address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    remotes = Remotes(identity=load_identity(certificates, "gate"), clock=CLOCK)
    assert not await remotes.answers("execution", address, timeout_secs=30)
    health.started()
    assert await remotes.answers("execution", address, timeout_secs=30)
    with pytest.raises(Retry, match="Hostname Verification Check failed"):
        await remotes.answers("scoring", address, timeout_secs=30)
    Authority(now=datetime.now(UTC)).write(tmp_path / "other", ["gate"])
    stranger = Remotes(identity=load_identity(tmp_path / "other", "gate"), clock=CLOCK)
    with pytest.raises(Retry, match="CERTIFICATE_VERIFY_FAILED"):
        await stranger.answers("execution", address, timeout_secs=30)
    await server.stop(0)
    with pytest.raises(Retry, match="refused"):
        await remotes.answers("execution", address, timeout_secs=30)
    await remotes.close()


async def test_a_call_finds_the_holder_beside_a_standby(certificates: Path) -> None:
    """SQ-5: who stands by answers NOT_HOLDER before it records anything; the next one is asked within the call."""
    standby = Execution(answer=Refused(Code.FAILED_PRECONDITION, NOT_HOLDER, "execution-1 holds the account"))
    holder = Execution()
    servers, ports = [], []
    for service in (standby, holder):
        server = RpcServer(identity=load_identity(certificates, "execution"), clock=CLOCK, activity=ActivityTracker())
        server.add(ExecutionCalls, service, {})
        ports.append(await server.start("127.0.0.1:0"))
        servers.append(server)
    remotes = Remotes(identity=load_identity(certificates, "gate"), clock=CLOCK)
    both = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    execution = remotes.remote(ExecutionCalls, "execution", both)

    async with asyncio.timeout(30):
        # The channel may reach one of the two before the other.
        while not (standby.callers and holder.callers):
            with contextlib.suppress(Refused, Retry):
                await execution.submit(pb.SubmitRequest(cycle_id="first"))
    holder.callers.clear()

    answers = [await execution.submit(pb.SubmitRequest(cycle_id=f"c{number}")) for number in range(10)]

    assert [answer.ledger_version for answer in answers] == [7] * 10
    assert len(holder.callers) == 10
    await remotes.close()
    for server in servers:
        await server.stop(0)


async def test_where_nobody_holds_the_account_the_caller_is_told(served: "Served") -> None:
    """SQ-5: the same answer comes back after a bounded number of tries."""
    served.service.answer = Refused(Code.FAILED_PRECONDITION, NOT_HOLDER, "nobody holds the account")

    with pytest.raises(Refused) as refused:
        await served.called_by("gate").submit(pb.SubmitRequest(cycle_id="c1"))

    assert refused.value.reason == NOT_HOLDER
    assert len(served.service.callers) == 1 + len(HOLDER_PAUSES_SECS)
