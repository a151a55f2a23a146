"""What reconciliation cannot explain halts, until a person clears it (FP-4.5, DI-4)."""

from typing import Any

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_runtime.wire import to_timestamp

UNEXPLAINED = execution.Discrepancy(
    kind="POSITION_DIFFERS", symbol="SPY", subject="SPY", ledger_value="10", broker_value="12", action="halt"
)


def verdict(desk: Any, *discrepancies: execution.Discrepancy) -> execution.RecordVerdictRequest:
    state = execution.RECONCILIATION_STATE_DISCREPANT if discrepancies else execution.RECONCILIATION_STATE_CLEAN
    return execution.RecordVerdictRequest(
        verdict=execution.ReconciliationVerdict(
            state=state, market_time=to_timestamp(desk.clock.now()), discrepancies=discrepancies
        )
    )


async def test_an_unexplained_difference_halts_its_symbol_and_a_clean_verdict_does_not_lift_it(desk: Any) -> None:
    for _ in range(2):
        await desk.service.record_verdict(verdict(desk, UNEXPLAINED))
    await desk.service.record_verdict(verdict(desk))
    halts = await desk.halts()
    assert [(halt.kind, halt.symbol, halt.set_by) for halt in halts] == [("reconciliation", "SPY", "reconciliation")]
    assert "ledger 10, broker 12" in halts[0].reason
    answer = await desk.submit(desk.decision("SPY"), desk.decision("IBM"))
    assert {each.symbol: each.allowed for each in answer.decisions} == {"SPY": False, "IBM": True}


async def test_a_person_who_clears_the_halt_opens_the_symbol_again(desk: Any) -> None:
    await desk.service.record_verdict(verdict(desk, UNEXPLAINED))
    await desk.service.record_verdict(verdict(desk))
    [halt] = await desk.halts()
    await desk.service.clear_halt(
        execution.ClearHaltRequest(halt_id=halt.halt_id, cleared_by="ann", note="dividend in shares")
    )
    assert await desk.halts() == []
    answer = await desk.submit(desk.decision("SPY"))
    assert [each.reason for each in answer.decisions] == ["ALLOWED"]


async def test_a_difference_that_is_being_applied_halts_nothing(desk: Any) -> None:
    applied = execution.Discrepancy(kind="FILL_MISSING", symbol="SPY", subject="order 1", action="apply")
    await desk.service.record_verdict(verdict(desk, applied))
    assert await desk.halts() == []
