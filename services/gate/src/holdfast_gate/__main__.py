"""Wiring of the gate service."""

from holdfast_catalogue.guard import stand_guard
from holdfast_gate.changes import Changes
from holdfast_gate.checks import checks
from holdfast_gate.prices import Prices
from holdfast_gate.service import GateService
from holdfast_gate.snapshot import Snapshots
from holdfast_gate.watches import watches
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls, PricesCalls
from holdfast_runtime.service import Shell, run


async def build(shell: Shell) -> None:
    """Wires the service."""
    changes = Changes()
    execution = shell.remote(ExecutionCalls, "execution")
    prices_calls = shell.remote(PricesCalls, "signal")
    snapshots = Snapshots(execution, activity=shell.activity, clock=shell.monotonic_clock, changes=changes)
    prices = Prices(prices_calls, activity=shell.activity, clock=shell.monotonic_clock, changes=changes)
    service = GateService(
        settings=shell.settings,
        market_clock=shell.market_clock,
        monotonic_clock=shell.monotonic_clock,
        execution=execution,
        snapshots=snapshots,
        prices=prices,
        changes=changes,
        activity=shell.activity,
    )
    shell.serve(GateCalls, service, allow={"evaluate": {"scoring"}, "list_gates": {"admin", "operator"}})
    shell.loop("watch-snapshots", lambda: snapshots.run(shell.progress("watch-snapshots")))
    shell.loop("watch-prices", lambda: prices.run(shell.progress("watch-prices")))
    shell.ready_when(lambda: service.loaded)
    stand_guard(
        shell,
        watches(service=service, snapshots=snapshots, prices=prices, monotonic=shell.monotonic_clock),
        checks(shell),
    )


if __name__ == "__main__":
    run("gate", build)
