"""Wiring of the reconciliation service."""

from holdfast_catalogue.guard import stand_guard
from holdfast_reconciliation.checks import checks
from holdfast_reconciliation.reconciler import Reconciler
from holdfast_reconciliation.watches import watches
from holdfast_runtime.ports.calls import ExecutionCalls, ReconciliationCalls
from holdfast_runtime.service import Shell, run
from holdfast_venue.factory import open_broker

SHARE = 0.15
"""Of the venue's rate limit: reconciliation has a fixed share, execution the rest (order protocol, controls)."""


async def build(shell: Shell) -> None:
    """Wires the service."""
    broker = open_broker(shell.settings, shell.secrets, monotonic_clock=shell.monotonic_clock, share=SHARE)
    reconciler = Reconciler(
        settings=shell.settings,
        execution=shell.remote(ExecutionCalls, "execution"),
        broker=broker,
        market_clock=shell.market_clock,
        monotonic_clock=shell.monotonic_clock,
        activity=shell.activity,
    )
    shell.serve(ReconciliationCalls, reconciler, allow={"reconcile": {"admin", "operator"}})
    shell.loop("reconcile", lambda: reconciler.run(shell.progress("reconcile")))
    shell.on_stop(broker.close)
    stand_guard(
        shell,
        watches(reconciler, settings=shell.settings, clock=shell.market_clock, monotonic=shell.monotonic_clock),
        checks(shell),
    )


if __name__ == "__main__":
    run("reconciliation", build)
