"""A stack that was given bad input in its replay, and what must still be true of it."""

from dataclasses import dataclass
from typing import Any

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_runtime.bus.dead_letters import DeadLetter
from holdfast_runtime.ports.calls import ExecutionCalls
from tests.integration import visitor
from tests.integration.stack import Stack


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
