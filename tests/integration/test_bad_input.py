"""Bad input from every side: a clear error, quarantined where it is a message, nothing lost, no order.

Malformed messages are put on every subject in the middle of a replay, which must end to the cent like one without them;
then strangers call at every door (PR-1, SE-5, SE-7).
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import nats
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.reconciliation.v1 import reconciliation_pb2 as reconciliation
from holdfast_runtime.bus.buckets import NatsBucket
from holdfast_runtime.bus.dead_letters import DeadLetter, list_dead_letters
from holdfast_runtime.bus.streams import BUCKETS, STREAMS, matches
from holdfast_runtime.errors import Code, GiveUp, Malformed, Refused, Retry
from holdfast_runtime.identity import load_identity
from holdfast_runtime.ports.buckets import RevisionConflict
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls, ReconciliationCalls
from tests.integration import visitor
from tests.integration.malformed import CONSUMED, EARLIER, NOISE, UNCONSUMED, Bad, a_cycle, a_signal
from tests.integration.stack import Stack, comparable, eventually, running

pytestmark = pytest.mark.stack

WINDOW = ("--speed", "max", "--from", "2013-10-08T13:30:00Z", "--to", "2013-10-08T15:00:00Z")
MIDDLE = 30
"""Tick at which the malformed messages come."""
MIB = 1024 * 1024
LARGE = 100_000
"""More than any request may hold, and little enough to be sent whole before the answer."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A stack that was given malformed messages in its replay, which has ended. It still runs."""

    stack: Stack
    report: dict[str, Any]
    letters: list[DeadLetter]
    pids: dict[str, int]

    def books(self) -> dict[str, Any]:
        found = self.stack.venue("books")
        assert found is not None
        return {name: found[name] for name in ("orders", "fills", "positions", "cash")}

    def decided(self, *signal_ids: str) -> list[str]:
        """Those of the signals that the ledger holds a decision of."""
        request = execution.GetDecisionsRequest(signal_ids=signal_ids)
        answer = visitor.call(
            self.stack, ExecutionCalls, "execution", lambda port: port.get_decisions(request), identity="operator"
        )
        return [decision.signal_id for decision in answer.decisions]

    def unharmed(self) -> None:
        """Every process is the one it was, and ready."""
        assert visitor.pids(self.stack) == self.pids
        assert [each for each in visitor.ALL_SERVICES if not visitor.health(self.stack, each, "readiness")] == []
        assert [each for each in visitor.ALL_SERVICES if not visitor.health(self.stack, each, "liveness")] == []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with running(tmp_path_factory.mktemp("calm"), "--until-end", *WINDOW) as stack:
        return stack.report()


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturbed]:
    with running(tmp_path_factory.mktemp("disturbed"), *WINDOW) as stack:
        stack.wait_for_tick(MIDDLE)
        pids = visitor.pids(stack)
        asyncio.run(_publish(stack, (*CONSUMED, *UNCONSUMED)))
        eventually(lambda: (s := stack.venue("status")) and s["ended"] and s["settled"], "the end of the recording")
        letters = asyncio.run(_letters(stack, len(CONSUMED)))
        yield Disturbed(stack=stack, report=visitor.report_of(stack), letters=letters, pids=pids)


async def _publish(stack: Stack, messages: tuple[Bad, ...]) -> None:
    async with visitor.bus_of(stack) as bus:
        for number, each in enumerate(messages):
            await bus.publish(each.subject, each.payload, message_id=f"bad-{number}", headers={"traceparent": "00-x"})
        for spec in BUCKETS:
            bucket = NatsBucket(bus, spec.name)
            for key in ("global", "nothing"):
                await _overwrite(bucket, key)


async def _overwrite(bucket: NatsBucket, key: str) -> None:
    """Its owner may write at the same time."""
    while True:
        try:
            entry = await bucket.get(key)
            if entry is None:
                await bucket.create(key, NOISE)
            else:
                await bucket.update(key, NOISE, revision=entry.revision)
            return
        except RevisionConflict:
            continue


async def _letters(stack: Stack, at_least: int) -> list[DeadLetter]:
    """What was put aside of the messages above: the consumers may still be at it."""
    async with visitor.bus_of(stack) as bus, asyncio.timeout(60):
        while True:
            found = [each for each in await list_dead_letters(bus, limit=1_000) if each.message_id.startswith("bad-")]
            if len(found) >= at_least:
                return found
            await asyncio.sleep(0.1)


# --- messages


def test_every_declared_subject_is_given_malformed_messages() -> None:
    subjects = {each.subject for each in (*CONSUMED, *UNCONSUMED)}
    patterns = [pattern for stream in STREAMS for pattern in stream.subjects]
    assert [pattern for pattern in patterns if not any(matches(pattern, each) for each in subjects)] == []


def test_each_is_put_aside_once_byte_for_byte_with_its_reason(disturbed: Disturbed) -> None:
    by_id = {letter.message_id: letter for letter in disturbed.letters}
    assert len(by_id) == len(disturbed.letters) == len(CONSUMED)
    for number, each in enumerate(CONSUMED):
        letter = by_id[f"bad-{number}"]
        assert letter.payload == each.payload
        assert (letter.subject, letter.consumer, letter.kind) == (each.subject, each.consumer, "Malformed")
        assert letter.reason, each
        assert each.names in letter.reason, each


def test_the_replay_ends_to_the_cent_as_if_they_had_not_come(disturbed: Disturbed, undisturbed: dict[str, Any]) -> None:
    """Nothing lost, no order: same decisions, orders, fills and cash."""
    assert undisturbed["orders"], "a replay without an order proves nothing"
    assert comparable(disturbed.report) == comparable(undisturbed)
    assert [each for each in disturbed.report["invariants"] if not each["held"]] == []
    assert disturbed.report["reconciliation"] == {"state": "clean", "discrepancies": []}
    disturbed.unharmed()


def test_a_whole_cycle_that_is_too_old_is_decided_as_expired_and_never_traded(disturbed: Disturbed) -> None:
    """One of a strategy that nobody configured is blocked as well; a trace context that is none harms nothing."""
    before = disturbed.books()
    old = a_cycle(cycle_id="old", signals=[a_signal(signal_id="old.SPY")])
    ghost = a_cycle(cycle_id="ghost", strategy="ghost", signals=[a_signal(signal_id="ghost.SPY", traceparent="00-x")])

    async def send() -> None:
        async with visitor.bus_of(disturbed.stack) as bus:
            for cycle in (old, ghost):
                subject = f"cycles.v1.{cycle.strategy}"
                await bus.publish(subject, cycle.SerializeToString(), message_id=cycle.cycle_id)

    asyncio.run(send())
    eventually(lambda: len(disturbed.decided("old.SPY", "ghost.SPY")) == 2, "both decided")
    request = execution.GetDecisionsRequest(signal_ids=["old.SPY", "ghost.SPY"])
    answer = visitor.call(
        disturbed.stack, ExecutionCalls, "execution", lambda port: port.get_decisions(request), identity="operator"
    )
    assert [each.allowed for each in answer.decisions] == [False, False]
    assert {each.signal_id: each.reason for each in answer.decisions}["old.SPY"] == "CYCLE_EXPIRED"
    assert disturbed.books() == before


def test_an_oversized_message_is_refused_to_its_publisher(disturbed: Disturbed) -> None:
    async def send() -> None:
        async with visitor.bus_of(disturbed.stack) as bus:
            with pytest.raises(GiveUp, match="bytes, stream CYCLES takes"):
                await bus.publish("cycles.v1.sma", b"x" * MIB, message_id="large")
            # Past our own client, the server refuses it too.
            before = await bus.last_position("CYCLES")
            with pytest.raises(nats.js.errors.BadRequestError, match="message size exceeds maximum"):
                await bus.link.js.publish("cycles.v1.sma", b"x" * 1_000_000)
            assert await bus.last_position("CYCLES") == before

    asyncio.run(send())
    disturbed.unharmed()


def test_a_subject_that_no_stream_declares_is_refused(disturbed: Disturbed) -> None:
    async def send() -> None:
        async with visitor.bus_of(disturbed.stack) as bus:
            with pytest.raises(GiveUp, match="no declared stream"):
                await bus.publish("orders.v1.SPY", b"x", message_id="x")

    asyncio.run(send())


def test_the_bus_refuses_a_wrong_token(disturbed: Disturbed) -> None:
    async def connect(token: str | None) -> None:
        await nats.connect(
            disturbed.stack.settings["bus"]["url"], token=token, allow_reconnect=False, max_reconnect_attempts=0
        )

    for token in (None, "", "wrong"):
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            asyncio.run(connect(token))


# --- calls


def an_order(**changes: object) -> execution.SubmitRequest:
    """A batch that would become an order, if the gate had sent it."""
    fields: dict[str, object] = {
        "signal_id": "forged.SPY",
        "cycle_id": "forged",
        "strategy": "sma",
        "symbol": "SPY",
        "book": common.BOOK_EQUITY,
        "direction": common.DIRECTION_ENTER_LONG,
        "allowed": True,
        "reason": "ALLOWED",
        "quantity": common.Decimal(value="10"),
        "limit_price": common.Decimal(value="170"),
        "stop_price": common.Decimal(value="160"),
        "market_time": Timestamp(seconds=EARLIER),
        "valid_until": Timestamp(seconds=2_000_000_000),
    }
    decision = gate.Decision(**{k: v for k, v in (fields | changes).items() if v is not None})  # type: ignore[arg-type]  # by name
    return execution.SubmitRequest(
        cycle_id="forged", strategy="sma", market_time=Timestamp(seconds=EARLIER), decisions=[decision]
    )


@pytest.mark.parametrize("identity", ["admin", "operator", "scoring", "signal", "reconciliation", "execution"])
def test_only_the_gate_may_submit(disturbed: Disturbed, identity: str) -> None:
    """SE-5: the certificate is the identity. No decision is stored, and nothing reaches the venue."""
    before = disturbed.books()
    with pytest.raises(Refused, match=f"{identity} may not call") as refused:
        visitor.call(
            disturbed.stack, ExecutionCalls, "execution", lambda port: port.submit(an_order()), identity=identity
        )
    assert (refused.value.code, refused.value.reason) == (Code.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    assert disturbed.decided("forged.SPY") == []
    assert disturbed.books() == before


def test_a_certificate_of_another_authority_is_refused(disturbed: Disturbed) -> None:
    """SE-5: not even one that says it is the gate."""
    with pytest.raises(Retry):
        visitor.call(
            disturbed.stack,
            ExecutionCalls,
            "execution",
            lambda port: port.submit(an_order()),
            identity="gate",
            stranger=True,
        )
    assert disturbed.decided("forged.SPY") == []


def test_a_caller_without_a_certificate_is_refused(disturbed: Disturbed) -> None:
    address = disturbed.stack.settings["endpoints"]["execution"]
    authority = load_identity(disturbed.stack.folder / "certificates", "operator").authority
    options = (("grpc.ssl_target_name_override", "execution"),)
    anonymous = grpc.ssl_channel_credentials(authority)
    for channel in (grpc.secure_channel(address, anonymous, options), grpc.insecure_channel(address, options)):
        with channel:
            submit = channel.unary_unary("/holdfast.execution.v1.ExecutionService/Submit")
            with pytest.raises(grpc.RpcError) as refused:
                submit(an_order().SerializeToString(), timeout=5)
            assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.parametrize(
    ("port", "service", "method", "request_", "identity"),
    [
        (GateCalls, "gate", "evaluate", gate.EvaluateRequest(), "admin"),
        (ExecutionCalls, "execution", "record_verdict", execution.RecordVerdictRequest(), "operator"),
        (ExecutionCalls, "execution", "refresh", execution.RefreshRequest(), "gate"),
        (ExecutionCalls, "execution", "clear_halt", execution.ClearHaltRequest(halt_id="x"), "operator"),
        (ReconciliationCalls, "reconciliation", "reconcile", reconciliation.ReconcileRequest(), "signal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_call_that_changes_something_has_its_own_callers(
    disturbed: Disturbed, port: type, service: str, method: str, request_: Any, identity: str
) -> None:
    with pytest.raises(Refused) as refused:
        visitor.call(
            disturbed.stack, port, service, lambda remote: getattr(remote, method)(request_), identity=identity
        )
    assert refused.value.code is Code.PERMISSION_DENIED


MALFORMED_BATCHES = {
    "no decision's strategy": an_order(strategy=None),
    "of another cycle": an_order(cycle_id="other"),
    "no quantity": an_order(quantity=None),
    "fraction of a share": an_order(quantity=common.Decimal(value="0.5")),
    "not a number": an_order(quantity=common.Decimal(value="NaN")),
    "endless quantity": an_order(quantity=common.Decimal(value="1e999999")),
    "no stop": an_order(stop_price=None),
    "stop above the limit": an_order(stop_price=common.Decimal(value="180")),
    "no validity": an_order(valid_until=None),
    "no direction": an_order(direction=None),
    "no book": an_order(book=None),
}


@pytest.mark.parametrize("batch", MALFORMED_BATCHES.values(), ids=MALFORMED_BATCHES.keys())
def test_a_malformed_batch_is_refused_whole_even_from_the_gate(
    disturbed: Disturbed, batch: execution.SubmitRequest
) -> None:
    before = disturbed.books()
    with pytest.raises(GiveUp) as refused:
        visitor.call(disturbed.stack, ExecutionCalls, "execution", lambda port: port.submit(batch), identity="gate")
    assert isinstance(refused.value, Malformed) or refused.value.code is Code.INVALID_ARGUMENT  # type: ignore[attr-defined]  # a Refused
    assert disturbed.decided("forged.SPY") == []
    assert disturbed.books() == before


def test_limits_hold_even_against_the_gate(disturbed: Disturbed) -> None:
    """They are enforced where the decision is stored: it becomes a block, and no order."""
    before = disturbed.books()
    greedy = an_order(signal_id="greedy.SPY", quantity=common.Decimal(value="99999999999999999"))
    answer = visitor.call(
        disturbed.stack, ExecutionCalls, "execution", lambda port: port.submit(greedy), identity="gate"
    )
    assert [(each.signal_id, each.allowed) for each in answer.decisions] == [("greedy.SPY", False)]
    assert answer.decisions[0].reason != "ALLOWED"
    assert disturbed.books() == before
    disturbed.unharmed()


def test_an_oversized_call_is_refused_and_the_service_goes_on(disturbed: Disturbed) -> None:
    large = gate.EvaluateRequest(cycle_id="x" * 5 * MIB)
    with pytest.raises(Refused) as refused:
        visitor.call(disturbed.stack, GateCalls, "gate", lambda port: port.evaluate(large), identity="scoring")
    assert refused.value.code is Code.RESOURCE_EXHAUSTED
    batch = an_order()
    batch.cycle_id = "x" * 5 * MIB
    with pytest.raises(Refused) as refused:
        visitor.call(disturbed.stack, ExecutionCalls, "execution", lambda port: port.submit(batch), identity="gate")
    assert refused.value.code is Code.RESOURCE_EXHAUSTED
    disturbed.unharmed()


def test_noise_and_a_call_without_a_deadline_are_refused(disturbed: Disturbed) -> None:
    shown = load_identity(disturbed.stack.folder / "certificates", "gate")
    credentials = grpc.ssl_channel_credentials(shown.authority, shown.key, shown.certificate)
    address = disturbed.stack.settings["endpoints"]["execution"]
    with grpc.secure_channel(address, credentials, (("grpc.ssl_target_name_override", "execution"),)) as channel:
        submit = channel.unary_unary("/holdfast.execution.v1.ExecutionService/Submit")
        with pytest.raises(grpc.RpcError):
            submit(NOISE, timeout=5)
        with pytest.raises(grpc.RpcError) as refused:
            submit(an_order().SerializeToString())
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "deadline" in refused.value.details()
        unknown = channel.unary_unary("/holdfast.execution.v1.ExecutionService/Withdraw")
        with pytest.raises(grpc.RpcError) as refused:
            unknown(b"", timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert disturbed.decided("forged.SPY") == []


# --- HTTP


def _halts(disturbed: Disturbed) -> list[str]:
    request = execution.GetLedgerRequest()
    ledger = visitor.call(
        disturbed.stack, ExecutionCalls, "execution", lambda port: port.get_ledger(request), identity="operator"
    )
    return [halt.halt_id for halt in ledger.halts]


def test_the_dashboards_api_answers_the_right_token_only(disturbed: Disturbed) -> None:
    """SE-7: each refusal has a code and a sentence; guesses are bounded; nothing was switched."""
    stack = disturbed.stack
    status, switch = visitor.admin(stack, "/api/v1/status"), visitor.admin(stack, "/api/v1/kill-switch")
    right = {"Authorization": f"Bearer {(stack.folder / 'admin.token').read_text()}"}
    wrong = {"Authorization": "Bearer wrong"}
    assert visitor.http(status, headers=right).status == 200

    nobody = visitor.http(status)
    assert (nobody.status, nobody.body["code"]) == (401, "NO_TOKEN")
    refused = visitor.http(status, headers=wrong)
    assert (refused.status, refused.body["code"]) == (401, "WRONG_TOKEN")
    assert "token" in refused.body["message"]
    body = json.dumps({"reason": "forged"}).encode()
    json_type = {"Content-Type": "application/json"}
    assert visitor.http(switch, body=body, headers=wrong | json_type).status == 401
    assert visitor.http(switch, body=body, headers=json_type).status == 401

    for bad in (b"", b"{", b"[]", b'{"reason": 5}', b'{"reason": ""}', NOISE):
        answer = visitor.http(switch, body=bad, headers=right | json_type, method="POST")
        assert (answer.status, answer.body["code"]) == (422, "INVALID"), bad
    large = visitor.http(switch, body=b"x" * LARGE, headers=right | json_type)
    assert (large.status, large.body["code"]) == (413, "BODY_TOO_LARGE")
    missing = visitor.http(visitor.admin(stack, "/api/v1/nothing"), headers=right)
    assert (missing.status, missing.body["code"]) == (404, "HTTP_404")
    assert visitor.http(f"{status}?limit=0", headers=right).status == 200
    rows = visitor.http(visitor.admin(stack, "/api/v1/orders?limit=0"), headers=right)
    assert (rows.status, rows.body["code"]) == (422, "INVALID")

    codes = [visitor.http(status, headers=wrong).status for _ in range(30)]
    assert set(codes) == {401, 429}
    assert codes[-1] == 429, "guesses are not bounded"
    assert _halts(disturbed) == []
    disturbed.unharmed()


def test_the_venue_refuses_wrong_keys_and_malformed_orders(disturbed: Disturbed) -> None:
    stack = disturbed.stack
    orders = visitor.venue(stack, "/v2/orders")
    right = {
        "APCA-API-KEY-ID": visitor.secret(stack, "papermarket", "ALPACA_API_KEY"),
        "APCA-API-SECRET-KEY": visitor.secret(stack, "papermarket", "ALPACA_SECRET_KEY"),
    }
    order = json.dumps({"symbol": "SPY", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}).encode()
    before = disturbed.books()
    for keys in ({}, right | {"APCA-API-SECRET-KEY": "wrong"}, right | {"APCA-API-KEY-ID": "wrong"}):
        answer = visitor.http(orders, body=order, headers=keys)
        assert (answer.status, answer.body["message"]) == (401, "request is not authorized")
    for bad in (b"", b"{", b"[]", NOISE, b'{"symbol": "XYZ", "qty": "1"}', order.replace(b'"1"', b'"1e999999"')):
        answer = visitor.http(orders, body=bad, headers=right, method="POST")
        assert answer.status in (400, 403, 404, 422), bad
        assert answer.body["message"], bad
    large = visitor.http(orders, body=order.replace(b"SPY", b"S" * LARGE), headers=right)
    assert (large.status, large.body["message"]) == (400, "request body is too large")
    assert disturbed.books() == before
    disturbed.unharmed()
