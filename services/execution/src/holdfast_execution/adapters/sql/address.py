"""Where the ledger is may change while the process runs: its password, above all (SE-1)."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from holdfast_execution.adapters.sql.database import Database
from holdfast_runtime.ledger_halts import engine_url


def follow(database: Database, present: Callable[[], str]) -> None:
    """New connections go to the address that `present` gives then; those that stand go on. SQLite stays where it is."""
    if database.write.dialect.name != "postgresql":
        return
    for engine in (database.write, database.read):

        @event.listens_for(engine, "do_connect")
        def on_connect(dialect: sa.Dialect, _record: object, _args: object, parameters: dict[str, Any]) -> None:
            parameters.update(dialect.create_connect_args(sa.make_url(engine_url(present())))[1])
