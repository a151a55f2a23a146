"""What a person may do about a position that the ledger does not know: take it over, by execution, with an audit."""

from collections.abc import Callable

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.audit import Journal, Person
from holdfast_admin.domain.projection import number
from holdfast_admin.domain.views import ClaimView
from holdfast_runtime.errors import Refused, Retry
from holdfast_runtime.ports.calls import ExecutionCalls


class ClaimDesk:
    """Claims what the broker holds (invariant 14)."""

    def __init__(self, *, execution: ExecutionCalls, journal: Journal, changed: Callable[[], None]) -> None:
        self._execution = execution
        self._journal = journal
        self._changed = changed

    async def show(self, person: Person, symbol: str, strategy: str, note: str) -> ClaimView:
        """What a claim would book; nothing is done. Raises as `claim`, but for the audit."""
        return _view(await self._execution.claim_position(_request(person, symbol, strategy, note, dry_run=True)))

    async def claim(self, person: Person, symbol: str, strategy: str, note: str) -> ClaimView:
        """Books what differs. Only with an audit: raises AuditUnavailable; what execution refuses it for, and Retry."""
        what = f"{symbol} for {strategy or 'its owner'}: {note}"
        self._journal.record(person, "claim", what, "requested")
        try:
            answer = await self._execution.claim_position(_request(person, symbol, strategy, note, dry_run=False))
        except (Refused, Retry) as error:
            result = "refused" if isinstance(error, Refused) else "failed"
            self._journal.record_or_go_on(person, "claim", what, result, str(error))
            raise
        self._journal.record_or_go_on(person, "claim", what, "ok", answer.adjustment.adjustment_id)
        self._changed()
        return _view(answer)


def _request(person: Person, symbol: str, strategy: str, note: str, *, dry_run: bool) -> pb.ClaimPositionRequest:
    return pb.ClaimPositionRequest(symbol=symbol, strategy=strategy, claimed_by=person.name, note=note, dry_run=dry_run)


def _view(answer: pb.ClaimPositionResponse) -> ClaimView:
    booked = answer.adjustment
    return ClaimView(
        adjustment_id=booked.adjustment_id,
        symbol=booked.symbol,
        strategy=booked.strategy,
        ledger_quantity=number(answer.ledger_quantity),
        broker_quantity=number(answer.broker_quantity),
        quantity=number(booked.quantity),
        price=number(booked.price),
        cash=number(booked.cash),
        description=booked.description,
    )
