"""Takes the commands of the fault plan."""

from holdfast_exchange.config import Outcome
from holdfast_exchange.faults.commands import ArmFaults, CountFault
from holdfast_exchange.faults.plan import from_text
from holdfast_exchange.state import State


def arm_faults(state: State, command: ArmFaults) -> Outcome:
    """Raises PlanRefused where the plan is of another version."""
    state.faults.arm(from_text(command.plan))
    return Outcome()


def count_fault(state: State, command: CountFault) -> Outcome:
    state.faults.restore(command.fault_id, seen=command.seen, fired=command.fired)
    return Outcome()
