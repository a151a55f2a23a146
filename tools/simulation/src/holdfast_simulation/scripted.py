"""A chain behind scoring that stores decisions and does nothing else: gate and ledger for tests of what calls them."""

from collections import deque

from holdfast.execution.v1 import execution_pb2 as execution_pb
from holdfast.gate.v1 import gate_pb2 as gate_pb
from holdfast_runtime.errors import Code, HoldfastError, Refused
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls


class ScriptedGate(GateCalls):
    """Allows every signal once and gives the stored decision back after that. `errors` are raised first, in order."""

    def __init__(self) -> None:
        self.errors: deque[HoldfastError] = deque()
        self.requests: list[gate_pb.EvaluateRequest] = []
        self.stored: dict[str, gate_pb.Decision] = {}
        self.loses_answers = 0
        """So many answers are lost after the decisions were stored."""

    async def evaluate(self, request: gate_pb.EvaluateRequest) -> gate_pb.EvaluateResponse:
        """See GateService.Evaluate."""
        self.requests.append(request)
        if self.errors:
            raise self.errors.popleft()
        replayed = all(each.signal.signal_id in self.stored for each in request.signals)
        for each in request.signals:
            signal_id = each.signal.signal_id
            decision = gate_pb.Decision(signal_id=signal_id, cycle_id=request.cycle_id, allowed=True, reason="ALLOWED")
            self.stored.setdefault(signal_id, decision)
        if self.loses_answers:
            self.loses_answers -= 1
            raise Refused(Code.UNAVAILABLE, "CONNECTION_LOST", "the answer was lost")
        decisions = [self.stored[each.signal.signal_id] for each in request.signals]
        return gate_pb.EvaluateResponse(decisions=decisions, ledger_version=len(self.stored), replayed=replayed)

    async def list_gates(self, request: gate_pb.ListGatesRequest) -> gate_pb.ListGatesResponse:  # noqa: ARG002
        """No gates."""
        return gate_pb.ListGatesResponse()


class ScriptedLedger(ExecutionCalls):
    """Execution's stored decisions, as far as a gate has stored them. Everything else is unimplemented."""

    def __init__(self, gate: ScriptedGate) -> None:
        self._gate = gate
        self.errors: deque[HoldfastError] = deque()
        self.asked = 0

    async def get_decisions(self, request: execution_pb.GetDecisionsRequest) -> execution_pb.GetDecisionsResponse:
        """See ExecutionService.GetDecisions."""
        self.asked += 1
        if self.errors:
            raise self.errors.popleft()
        found = [self._gate.stored[each] for each in request.signal_ids if each in self._gate.stored]
        return execution_pb.GetDecisionsResponse(decisions=found)
