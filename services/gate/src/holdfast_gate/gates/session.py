"""SESSION_CLOSED."""

from holdfast_gate.domain.signals import Context
from holdfast_gate.gates.base import CycleGate, Verdict, blocked, instant, passed


class SessionOpen(CycleGate):
    """Orders leave while the book's session is open, holidays and half days included."""

    name = "session"
    title = "Market session open"
    priority = "P1"
    requirements = ("TL-2", "TL-3", "PT-7")
    applies_to_exits = True
    applies_to_reductions = True

    def judge(self, context: Context) -> Verdict:
        numbers = {"now": instant(context.now), "book": context.cycle.book}
        if context.session_open:
            return passed(numbers)
        return blocked("SESSION_CLOSED", f"The session of the {context.cycle.book} book is closed.", numbers)
