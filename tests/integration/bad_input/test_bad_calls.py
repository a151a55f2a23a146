"""Calls by the wrong identity, malformed or oversized: refused with a code, no decision stored, no order (SE-3)."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.reconciliation.v1 import reconciliation_pb2 as reconciliation
from holdfast_runtime.errors import Code, GiveUp, Malformed, Refused, Retry
from holdfast_runtime.identity import load_identity
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls, ReconciliationCalls
from tests.integration import visitor
from tests.integration.bad_input.disturbed import Disturbed
from tests.integration.bad_input.malformed import EARLIER, NOISE

pytestmark = pytest.mark.stack

MIB = 1024 * 1024


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
    """SE-3: the certificate is the identity. No decision is stored, and nothing reaches the venue."""
    before = disturbed.books()
    with pytest.raises(Refused, match=f"{identity} may not call") as refused:
        visitor.call(
            disturbed.stack, ExecutionCalls, "execution", lambda port: port.submit(an_order()), identity=identity
        )
    assert (refused.value.code, refused.value.reason) == (Code.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    assert disturbed.decided("forged.SPY") == []
    assert disturbed.books() == before


def test_a_certificate_of_another_authority_is_refused(disturbed: Disturbed) -> None:
    """SE-3: not even one that says it is the gate."""
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
        (ExecutionCalls, "execution", "claim_position", execution.ClaimPositionRequest(symbol="IBM"), "operator"),
        (ExecutionCalls, "execution", "stop_strategy", execution.StopStrategyRequest(strategy="x"), "operator"),
        (ExecutionCalls, "execution", "start_strategy", execution.StartStrategyRequest(strategy="x"), "operator"),
        (ExecutionCalls, "execution", "list_strategies", execution.ListStrategiesRequest(), "gate"),
        (ReconciliationCalls, "reconciliation", "reconcile", reconciliation.ReconcileRequest(), "signal"),
        (ExecutionCalls, "execution", "get_ledger", execution.GetLedgerRequest(), "signal"),
        (ExecutionCalls, "execution", "get_decisions", execution.GetDecisionsRequest(), "gate"),
        (ExecutionCalls, "execution", "get_holder", execution.GetHolderRequest(), "scoring"),
        (GateCalls, "gate", "list_gates", gate.ListGatesRequest(), "signal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_call_has_its_own_callers(
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
