"""The scoring service: cycles in, the gate's decisions on them. Wiring only."""

from holdfast_catalogue.guard import stand_guard
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls, ScoringCalls
from holdfast_runtime.service import Shell, run
from holdfast_scoring.checks import checks
from holdfast_scoring.consumer import CycleConsumer
from holdfast_scoring.scorer import Scorer
from holdfast_scoring.watches import watches
from holdfast_scoring.weights import WeightKeeper


async def build(shell: Shell) -> None:
    weights = WeightKeeper(shell.bucket("weights"), clock=shell.monotonic_clock, progress=shell.progress("weights"))
    scorer = Scorer(lambda: weights.present)
    consumer = CycleConsumer(
        bus=shell.bus,
        gate=shell.remote(GateCalls, "gate"),
        execution=shell.remote(ExecutionCalls, "execution"),
        scorer=scorer,
        clock=shell.monotonic_clock,
        activity=shell.activity,
        progress=shell.progress("consume-scoring"),
    )
    shell.serve(ScoringCalls, scorer, allow={"explain": {"admin", "operator"}})
    shell.loop("cycles", consumer.run)
    shell.loop("weights", weights.run)
    stand_guard(shell, watches(consumer=consumer, weights=weights, monotonic=shell.monotonic_clock), checks(shell))


if __name__ == "__main__":
    run("scoring", build)
