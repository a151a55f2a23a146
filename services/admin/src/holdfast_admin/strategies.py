"""What a person may do with a strategy: stop it, start it again. Execution does it; each is audited."""

from collections.abc import Callable

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.audit import Journal, Person
from holdfast_admin.domain import strategies
from holdfast_admin.domain.sources import Sources
from holdfast_admin.domain.views import StrategyView
from holdfast_runtime.errors import Refused, Retry
from holdfast_runtime.ports.calls import ExecutionCalls


class StrategyDesk:
    """Stops and starts. Both raise Refused STRATEGY_UNKNOWN, or whatever else execution refuses it for, and Retry."""

    def __init__(
        self, sources: Sources, *, execution: ExecutionCalls, journal: Journal, changed: Callable[[], None]
    ) -> None:
        self._sources = sources
        self._execution = execution
        self._journal = journal
        self._changed = changed

    async def stop(self, person: Person, name: str, note: str) -> StrategyView:
        """No entry of it leaves from here on; what protects and sells goes on (SQ-10).

        An audit that cannot be written does not hold the stop back.
        """
        what = f"{name}: {note}"
        try:
            answer = await self._execution.stop_strategy(
                pb.StopStrategyRequest(strategy=name, stopped_by=person.name, note=note)
            )
        except (Refused, Retry) as error:
            self._failed(person, "stop", what, error)
            raise
        return self._done(person, "stop", what, answer.strategy, answer.ledger_version)

    async def start(self, person: Person, name: str, note: str) -> StrategyView:
        """It enters again at its next signal. Only with an audit: raises AuditUnavailable, too (SQ-14)."""
        what = f"{name}: {note}"
        self._journal.record(person, "start", what, "requested")
        try:
            answer = await self._execution.start_strategy(
                pb.StartStrategyRequest(strategy=name, started_by=person.name, note=note)
            )
        except (Refused, Retry) as error:
            self._failed(person, "start", what, error)
            raise
        return self._done(person, "start", what, answer.strategy, answer.ledger_version)

    def _failed(self, person: Person, action: str, what: str, error: Refused | Retry) -> None:
        result = "refused" if isinstance(error, Refused) else "failed"
        self._journal.record_or_go_on(person, action, what, result, str(error))

    def _done(self, person: Person, action: str, what: str, now: pb.Strategy, version: int) -> StrategyView:
        self._sources.strategies.take_one(now, version)
        self._journal.record_or_go_on(person, action, what, "ok", now.state)
        self._changed()
        return strategies.view(self._sources, now.strategy)
