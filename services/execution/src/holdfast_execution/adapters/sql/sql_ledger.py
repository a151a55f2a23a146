"""The ledger on SQL, whole."""

from collections.abc import Callable
from datetime import datetime

from holdfast_execution.adapters.sql.adjustment_writes import AdjustmentWrites
from holdfast_execution.adapters.sql.database import Database, open_database
from holdfast_execution.adapters.sql.firing_writes import FiringWrites
from holdfast_execution.adapters.sql.intent_writes import IntentWrites
from holdfast_execution.adapters.sql.migrate import migrate_database
from holdfast_execution.adapters.sql.reads import SqlReads
from holdfast_execution.adapters.sql.session import Session
from holdfast_execution.adapters.sql.state_writes import StateWrites
from holdfast_execution.adapters.sql.strategy_writes import StrategyWrites
from holdfast_execution.ledger import Ledger, LedgerReads


class SqlLedger(IntentWrites, AdjustmentWrites, FiringWrites, StateWrites, StrategyWrites):
    """The port `Ledger` on one session: for one thread."""


def open_ledger(
    url: str, account: str, *, recorded: Callable[[datetime], datetime] = lambda now: now
) -> tuple[Database, SqlLedger]:
    """A migrated ledger with its account's row. `recorded`: see Session."""
    database = open_database(url)
    migrate_database(database)
    session = Session(database, account, recorded=recorded)
    session.ensure_account()
    return database, SqlLedger(session)


def _fits(ledger: SqlLedger, reads: SqlReads) -> tuple[Ledger, LedgerReads]:
    """Checked by the type checker only: the classes are the port."""
    return ledger, reads
