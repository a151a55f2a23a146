"""Statements as the driver takes them: compiled once by SQLAlchemy, and run without it.

What SQLAlchemy does around each execution costs several times what the database needs for a row or two, in the thread
that every order waits for. Types are its own all the same, and so are the errors.
Only for statements that are built once: they are kept for ever.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

Processor: TypeAlias = Callable[[Any], Any] | None
_LIST = re.compile(r"__\[POSTCOMPILE_(\w+?)(?:~~.*?)?\]")
_NAMED_SQLITE = sqlite.dialect(paramstyle="named")


class _Plain:
    """One statement for one driver, with lists of one length."""

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect, columns: list[str] | None) -> None:
        assert isinstance(statement, sa.ClauseElement)
        target = _NAMED_SQLITE if dialect.name == "sqlite" else dialect
        compiled = statement.compile(dialect=target, column_keys=columns)
        assert isinstance(compiled, sa.Compiled)
        self._sql = str(compiled)
        binds: Mapping[str, sa.BindParameter[Any]] = compiled.binds  # type: ignore[attr-defined]
        self._constants = {name: bind.value for name, bind in binds.items() if not bind.required}
        self._binds = {
            name: processor
            for name, bind in binds.items()
            if (processor := bind.type.dialect_impl(target).bind_processor(target)) is not None
        }
        self._lists: dict[tuple[int, ...], str] = {}
        self.list_names: list[str] = _LIST.findall(self._sql)
        self._placeholder = ":{}" if target.paramstyle == "named" else "%({})s"
        selected = getattr(statement, "selected_columns", ())
        self.names = [column.name for column in selected]
        found = [(each.name, each.type.dialect_impl(target).result_processor(target, None)) for each in selected]
        self._results = [(name, processor) for name, processor in found if processor is not None]

    def sql(self, parameters: Mapping[str, Any]) -> str:
        if not self.list_names:
            return self._sql
        lengths = tuple(len(parameters[name]) for name in self.list_names)
        text = self._lists.get(lengths)
        if text is None:
            text = self._lists[lengths] = _LIST.sub(lambda found: self._expanded(found[1], parameters), self._sql)
        return text

    def _expanded(self, name: str, parameters: Mapping[str, Any]) -> str:
        each = (self._placeholder.format(f"{name}_{number}") for number in range(len(parameters[name])))
        # Nothing is in an empty list.
        return ", ".join(each) or "NULL"

    def bound(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        values = {**self._constants, **parameters}
        for name, processor in self._binds.items():
            if processor is not None and name in values and name not in self.list_names:
                values[name] = processor(values[name])
        for name in self.list_names:
            values |= {f"{name}_{number}": value for number, value in enumerate(values.pop(name))}
        return values

    def row(self, values: Iterable[Any]) -> dict[str, Any]:
        row = dict(zip(self.names, values, strict=True))
        for name, processor in self._results:
            assert processor is not None
            row[name] = processor(row[name])
        return row


_known: dict[tuple[str, sa.Executable, tuple[str, ...]], _Plain] = {}


def _plain(dialect: sa.Dialect, statement: sa.Executable, parameters: Mapping[str, Any]) -> _Plain:
    columns = tuple(parameters) if isinstance(statement, sa.Insert) else ()
    key = dialect.name, statement, columns
    found = _known.get(key)
    if found is None:
        found = _known[key] = _Plain(statement, dialect, list(columns) or None)
    return found


def rows(connection: sa.Connection, statement: sa.Executable, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a query finds, by the names of its columns. Raises as SQLAlchemy does."""
    plain = _plain(connection.dialect, statement, parameters)
    cursor = _execute(connection, plain.sql(parameters), plain.bound(parameters))
    try:
        return [plain.row(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def write(
    connection: sa.Connection, statement: sa.Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> None:
    """Writes one row, or all of a sequence of rows that have the same columns."""
    if isinstance(parameters, Mapping):
        plain = _plain(connection.dialect, statement, parameters)
        _execute(connection, plain.sql(parameters), plain.bound(parameters)).close()
        return
    plain = _plain(connection.dialect, statement, parameters[0])
    bound = [plain.bound(each) for each in parameters]
    if len(bound) == 1:
        _execute(connection, plain.sql(parameters[0]), bound[0]).close()
    else:
        _execute(connection, plain.sql(parameters[0]), bound, many=True).close()


def command(connection: sa.Connection, sql: str) -> None:
    """A statement without parameters and rows."""
    _execute(connection, sql, {}).close()


def _execute(connection: sa.Connection, sql: str, bound: Any, *, many: bool = False) -> Any:
    driver = connection.connection
    cursor: Any = None
    try:
        cursor = driver.cursor()
        (cursor.executemany if many else cursor.execute)(sql, bound)
    except connection.dialect.loaded_dbapi.Error as error:
        lost = connection.dialect.is_disconnect(error, driver.dbapi_connection, cursor)
        if cursor is not None:
            cursor.close()
        if lost:
            connection.invalidate(error)
        # The values are left out: they are account data.
        raise sa.exc.DBAPIError.instance(
            sql, None, error, connection.dialect.loaded_dbapi.Error,
            connection_invalidated=lost, dialect=connection.dialect,
        ) from error  # fmt: skip
    return cursor
