"""KILL_SWITCH_ENGAGED, ENTRIES_HALTED."""

from holdfast_gate.domain.ledger import KILL_SWITCH, Halt
from holdfast_gate.domain.signals import Context
from holdfast_gate.gates.base import CycleGate, Verdict, blocked, instant, passed


def halt_numbers(halt: Halt) -> dict[str, str]:
    """Who halted what, when and why: the state that KS-2 asks for."""
    return {
        "halt_id": halt.halt_id,
        "kind": halt.kind,
        "since": instant(halt.since),
        "set_by": halt.set_by,
        "why": halt.reason,
    }


class KillSwitch(CycleGate):
    """While a halt of the whole account stands, nothing new is opened; only a person lifts it."""

    name = "kill_switch"
    title = "Kill switch"
    priority = "CRITICAL"
    requirements = ("KS-1", "KS-2", "IG-1", "MG-3")

    def judge(self, context: Context) -> Verdict:
        halts = context.ledger.account_halts
        if not halts:
            return passed({"halts": "0"})
        for halt in halts:
            if halt.kind == KILL_SWITCH:
                return blocked("KILL_SWITCH_ENGAGED", f"The kill switch is engaged: {halt.reason}", halt_numbers(halt))
        return blocked("ENTRIES_HALTED", f"The account is halted: {halts[0].reason}", halt_numbers(halts[0]))
