"""What execution shows Prometheus of the account: the holder's word, and nothing from one that is none any more."""

from typing import Any

import pytest

from holdfast_execution.watches import watches
from holdfast_runtime.errors import Retry
from holdfast_runtime.telemetry import metrics
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock


@pytest.fixture
def lookout(desk: Any) -> Lookout:
    clock = ManualMonotonicClock()
    found = watches(desk.engine, lease=desk.lease, runner=desk.runner, settings=desk.settings, monotonic=clock)
    return Lookout("execution", found, clock)


def shown(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"holdfast_{name}", labels)


async def test_positions_halts_and_the_lease_are_the_holders_word(desk: Any, lookout: Lookout) -> None:
    account = desk.settings.account.id
    await desk.enter()
    await desk.minute(1)
    await lookout.look("position.unprotected")
    assert shown("positions") == 1
    assert shown("unprotected_positions") == 0
    await desk.engine.books.write(lambda ledger, epoch, now: ledger.add_halt(epoch, now, "kill_switch", "drill"))
    await desk.engine.books.look()
    await lookout.look("halt.standing")
    assert shown("halts", kind="kill_switch") == 1
    assert shown("halts", kind="reconciliation") == 0
    assert shown("lease_held", account=account) == 1

    await desk.lease.lost()
    await lookout.look("position.unprotected")
    assert shown("lease_held", account=account) == 0
    assert [shown("positions"), shown("halts", kind="kill_switch")] == [0, 0]


async def test_a_ledger_that_cannot_be_reached_shows(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(call: Any) -> Any:
        raise Retry("the database is away")

    await desk.until(lambda: shown("ledger_reachable") == 1, advancing=True)
    with monkeypatch.context() as patch:
        patch.setattr(desk.runner, "run", away)
        await desk.until(lambda: shown("ledger_reachable") == 0, advancing=True)
    await desk.until(lambda: shown("ledger_reachable") == 1, advancing=True)
