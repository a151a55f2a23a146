"""The write transaction: account row locked, fence checked, version raised, events appended; all or nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_core.money import ZERO
from holdfast_execution.adapters.sql import convert, plain, tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.parts_cache import PartsCache
from holdfast_execution.parts import Change, Key, Parts
from holdfast_execution.rows import AccountRow, LedgerError, StaleFence
from holdfast_runtime.ledger_halts import to_micros
from holdfast_runtime.wire import to_timestamp


@dataclass(slots=True, kw_only=True)
class Header:
    """The account's row and its lease as this transaction has them, and the ledger's revisions."""

    starting_cash: int | None
    cash: int
    realised: int
    version: int
    last_event_id: int
    holder: str
    epoch: int
    beat: int
    revision: int
    oldest_compatible: int

    @property
    def key(self) -> Key:
        return self.version, self.last_event_id


class Transaction:
    """One open write transaction. `header` is written back, and the events with it, before the commit."""

    def __init__(self, connection: sa.Connection, account: str, recorded: Callable[[datetime], datetime]) -> None:
        self.connection = connection
        self._account = account
        self._recorded = recorded
        self._loaded: Header | None = None
        self._stored: Header | None = None
        self._events: list[dict[str, object]] = []
        self._raised = False
        self._began: Header | None = None
        self._changes: list[Change] = []
        self._followed: tuple[int, Header, Parts, Parts | None] | None = None
        self._stamps: tuple[datetime, Timestamp, int, Timestamp, int] | None = None

    @property
    def header(self) -> Header:
        """Locks the account on first use: whoever writes comes after whoever wrote before."""
        if self._loaded is None:
            self._loaded = self._lock()
            self._stored = replace(self._loaded)
            self._began = replace(self._loaded)
        return self._loaded

    @property
    def version(self) -> int | None:
        """The ledger's version as of now; None where nothing has asked for the account's row."""
        return None if self._loaded is None else self._loaded.version

    def note(self, *changes: Change) -> None:
        """What this write has changed, for the parts that follow from those before it."""
        self._changes.extend(changes)

    def parts_after(self, before: Parts | None) -> Parts | None:
        """The parts as of now, where they follow from the kept ones; None where they have to be read."""
        if before is None or self._loaded is None or self._began is None or before.key != self._began.key:
            return None
        if not self._changes and self._loaded == self._began:
            return before
        known = self._followed
        if known is not None and known[0] == len(self._changes) and known[1] == self._loaded and known[2] is before:
            return known[3]
        following = before.after(self._changes, key=self._loaded.key, account=account_row(self._account, self._loaded))
        self._followed = len(self._changes), replace(self._loaded), before, following
        return following

    @property
    def locked(self) -> bool:
        """True where the account's row was asked for: without it nothing of the parts was changed."""
        return self._loaded is not None

    def change(self, **fields: int) -> None:
        """New values for the account's row."""
        header = self.header
        for name, value in fields.items():
            setattr(header, name, value)

    def check(self, epoch: int) -> None:
        """Refuses an old fence, or any while nobody holds the lease (invariant 12)."""
        if epoch != self.header.epoch or not self.header.holder:
            raise StaleFence(f"epoch {epoch} is over, the ledger is at epoch {self.header.epoch}")

    def hold(self, holder: str, epoch: int) -> None:
        """The lease has changed hands in this transaction."""
        self.header.holder, self.header.epoch = holder, epoch

    def begin_write(self) -> None:
        """A new write begins: its first fact raises the version."""
        self._raised = False

    def raise_version(self) -> int:
        """The ledger's version of this write: one more than before it."""
        if not self._raised:
            self.change(version=self.header.version + 1)
            self._raised = True
        return self.header.version

    def append(
        self,
        now: datetime,
        kind: str,
        aggregate: str,
        summary: str,
        fact: execution.Fact,
        *,
        traceparent: str = "",
        encoded: bytes = b"",
    ) -> None:
        """Appends one fact to the log; `fact` brings the body, the rest is filled in here.

        `encoded`: the body where it is in bytes already, as a field of the fact.
        """
        self.raise_version()
        header = self.header
        event_id = header.last_event_id = header.last_event_id + 1
        fact.event_id = fact.aggregate_version = event_id
        fact.kind, fact.aggregate, fact.summary, fact.traceparent = kind, aggregate, summary, traceparent
        market_stamp, market_micros, recorded_stamp, recorded_micros = self._times(now)
        fact.market_time.CopyFrom(market_stamp)
        fact.recorded_at.CopyFrom(recorded_stamp)
        self._events.append(
            {
                "account": self._account,
                "event_id": event_id,
                "kind": kind,
                "aggregate": aggregate,
                "aggregate_version": event_id,
                "market_time": market_micros,
                "recorded_at": recorded_micros,
                "traceparent": traceparent,
                "summary": summary,
                "fact": fact.SerializeToString() + encoded,
                "published": False,
            }
        )

    def _command(self, text: str) -> None:
        # A connection that is lost has no savepoint any more: what lost it is the error that is told.
        if not self.connection.invalidated:
            plain.command(self.connection, text)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is inside is undone alone where it raises."""
        header, count = None if self._loaded is None else replace(self._loaded), len(self._events)
        noted = len(self._changes)
        try:
            plain.command(self.connection, "SAVEPOINT one_call")
            try:
                yield
            except BaseException:
                self._command("ROLLBACK TO SAVEPOINT one_call")
                raise
            finally:
                self._command("RELEASE SAVEPOINT one_call")
        except BaseException:
            # Where the lock was taken inside, undoing may have let it go: the row is read again.
            self._loaded = header
            if header is None:
                self._stored = None
            del self._events[count:]
            del self._changes[noted:]
            self._followed = None
            raise

    def flush(self) -> None:
        """Writes the events and the account's row: the last statements before the commit."""
        if self._events:
            plain.write(self.connection, _INSERT_EVENTS, self._events)
            self._events = []
        header = self._loaded
        if header is not None and header != self._stored:
            plain.write(
                self.connection,
                _UPDATE_ACCOUNT,
                {
                    "of_account": self._account,
                    "starting_cash": header.starting_cash,
                    "cash": header.cash,
                    "realised": header.realised,
                    "version": header.version,
                    "last_event_id": header.last_event_id,
                },
            )
            self._stored = replace(header)

    def _times(self, now: datetime) -> tuple[Timestamp, int, Timestamp, int]:
        """Market and recorded time as stamps and as microseconds; a cycle of 64 asks with one `now`."""
        if self._stamps is None or self._stamps[0] != now:
            recorded = self._recorded(now)
            self._stamps = (now, stamp_of(now), to_micros(now), stamp_of(recorded), to_micros(recorded))
        return self._stamps[1:]

    def _lock(self) -> Header:
        found = plain.rows(self.connection, _LOCK, {"of_account": self._account})
        if not found:
            raise LedgerError(f"the ledger has no account {self._account!r}")
        return Header(**found[0])


def account_row(account: str, header: Header) -> AccountRow:
    """The account without what its open entries reserve."""
    return AccountRow(
        account_id=account,
        opened=header.starting_cash is not None,
        starting_cash=convert.cash(header.starting_cash or 0),
        cash=convert.cash(header.cash),
        realised_pnl=convert.cash(header.realised),
        reserved=ZERO,
        version=header.version,
    )


def stamp_of(instant: datetime) -> Timestamp:
    """An aware instant as a message."""
    stamp = to_timestamp(instant)
    assert stamp is not None
    return stamp


_a, _l, _m = tables.account.c, tables.lease.c, tables.meta.c
_LOCK = (
    sa.select(
        _a.starting_cash, _a.cash, _a.realised, _a.version, _a.last_event_id, _l.holder, _l.epoch, _l.beat,
        _m.revision, _m.oldest_compatible,
    )
    .join_from(tables.account, tables.lease, _a.account == _l.account)
    .join(tables.meta, sa.true())
    .where(_a.account == sa.bindparam("of_account"))
    .with_for_update(of=tables.account)
)  # fmt: skip
_INSERT_EVENTS = sa.insert(tables.events)
_UPDATE_ACCOUNT = (
    sa.update(tables.account)
    .where(_a.account == sa.bindparam("of_account"))
    .values({name: sa.bindparam(name) for name in ("starting_cash", "cash", "realised", "version", "last_event_id")})
)


class Session:
    """Transactions and read connections of one ledger, for one thread."""

    def __init__(
        self,
        database: Database,
        account: str,
        *,
        recorded: Callable[[datetime], datetime] = lambda now: now,
        cache: PartsCache | None = None,
    ) -> None:
        """`recorded` gives the wall's time of a write from its market time; default: the same."""
        self.database = database
        self.account = account
        self._recorded = recorded
        self._open: Transaction | None = None
        self._reading: sa.Connection | None = None
        self.cache = cache if cache is not None else PartsCache()

    @property
    def open_transaction(self) -> Transaction | None:
        return self._open

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """The open transaction, or a new one that ends with this block."""
        if self._open is not None:
            yield self._open
            return
        following: Parts | None = None
        with self.database.write.begin() as connection:
            self._open = opened = Transaction(connection, self.account, self._recorded)
            try:
                yield opened
                opened.flush()
                following = opened.parts_after(self.cache.newest)
            finally:
                self._open = None
        if opened.locked:
            self.cache.put(following)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """The open transaction's connection, so that a write sees itself; else one snapshot of the committed state.

        Nested blocks share the outermost one's snapshot.
        """
        shared = self._open.connection if self._open is not None else self._reading
        if shared is not None:
            yield shared
            return
        with self.database.read.begin() as connection:
            self._reading = connection
            try:
                yield connection
            finally:
                self._reading = None

    def ensure_account(self) -> None:
        """Inserts the account's row and its free lease where they are missing: before anybody can hold the lease."""
        present = sa.select(tables.lease.c.account).where(tables.lease.c.account == self.account)
        with self.database.read.begin() as connection:
            if connection.execute(present).scalar() is not None:
                return
        try:
            with self.database.write.begin() as connection:
                if connection.execute(present).scalar() is not None:
                    return
                connection.execute(
                    sa.insert(tables.account).values(
                        account=self.account, starting_cash=None, cash=0, realised=0, version=0, last_event_id=0
                    )
                )
                connection.execute(sa.insert(tables.lease).values(account=self.account, holder="", epoch=0, beat=0))
        except sa.exc.IntegrityError:
            # The other pod was first.
            return
