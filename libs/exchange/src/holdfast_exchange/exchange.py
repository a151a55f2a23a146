"""A venue in memory: one account, its orders and books, matched against a recording.

Pure and deterministic: no clock, no chance, no I/O. The same commands give the same ids, fills and cash, so a journal
of commands restores an exchange that was killed (TS-3, BR-1 … BR-8).
"""

from collections.abc import Callable
from typing import Any

from holdfast_exchange.account_commands import Announce, Configure, JournalCash
from holdfast_exchange.advancing import advance
from holdfast_exchange.changing import cancel, hold, reject_replacement, replace_order
from holdfast_exchange.commands import Advance, Cancel, Command, Replace, Submit
from holdfast_exchange.config import ExchangeConfig, Outcome
from holdfast_exchange.faults import firings
from holdfast_exchange.faults import handlers as fault_handlers
from holdfast_exchange.new_day import announce, configure, journal_cash
from holdfast_exchange.orders import Refusal
from holdfast_exchange.state import State
from holdfast_exchange.submitting import submit
from holdfast_exchange.venue_commands import Hold, RejectReplacement

__all__ = ["Exchange", "ExchangeConfig", "Outcome"]

_HANDLERS: dict[type[Any], Callable[[State, Any], Outcome]] = {
    Advance: advance,
    Submit: submit,
    Cancel: cancel,
    Replace: replace_order,
    Hold: hold,
    RejectReplacement: reject_replacement,
    **fault_handlers.HANDLERS,
    **firings.HANDLERS,
    Configure: configure,
    Announce: announce,
    JournalCash: journal_cash,
}
"""Who does what: a new kind of command is one line here, its class in `commands`, its doing in a file of its own."""


class Exchange(State):
    """One account on one market. Commands go through `apply`; everything else only reads."""

    def apply(self, command: Command) -> Outcome:
        """Takes one command. Raises Refusal, and then nothing has changed."""
        before = self.now
        self.now = max(before, command.at)
        try:
            return _HANDLERS[type(command)](self, command)
        except Refusal:
            self.now = before
            raise
