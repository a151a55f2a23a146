"""What is kept in memory of a version equals what the database says of it, whatever was written; so does what gates
are told of it by its changes alone (CQ-2)."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.adapters.sql.parts_cache import PartsCache
from holdfast_execution.adapters.sql.reads import SqlReads
from holdfast_execution.adapters.sql.session import Session
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger, open_ledger
from holdfast_execution.books import Mirror, mirror_of
from holdfast_execution.messages import to_changes, to_snapshot
from holdfast_execution.parts import RECENT, Parts
from holdfast_execution.resting import Resting
from holdfast_gate.domain.ledger import LedgerView
from tests.contract.ledger_writers import Writers


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    database, opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "paper")
    yield opened
    database.close()


def read_anew(ledger: SqlLedger) -> Parts:
    """The parts as somebody reads them who has kept nothing."""
    session = ledger.session
    return SqlReads(Session(session.database, session.account, cache=PartsCache())).parts()


def told(parts: Parts, now: datetime) -> tuple[object, ...]:
    """Everything that is asked of parts. Which entries of long ago they still know is their own affair."""
    return replace(parts, entries={}), parts.last_entries(now), parts.entries_last_minute(now)


@pytest.mark.parametrize("seed", range(6))
def test_parts_that_follow_from_those_before_equal_parts_that_are_read(ledger: SqlLedger, seed: int) -> None:
    writers = Writers(ledger, random.Random(seed))
    kept = 0
    for turn in range(120):
        ledger.parts()
        writers.several() if turn % 7 == 6 else writers.one()
        newest = ledger.session.cache.newest
        if newest is not None:
            kept += 1
            assert told(newest, writers.now) == told(read_anew(ledger), writers.now)
        assert told(ledger.parts(), writers.now) == told(read_anew(ledger), writers.now)
    assert kept > 60, "most writes are to be followed without reading"


def test_parts_inside_a_transaction_see_what_it_has_written(ledger: SqlLedger) -> None:
    writers = Writers(ledger, random.Random(1))
    ledger.parts()
    with ledger.session.transaction():
        decision = gate.Decision()
        decision.CopyFrom(writers.decision("IBM"))
        decision.allowed = True
        wishes = {decision.signal_id: writers.entry(decision)}
        ledger.store_cycle(writers.epoch, writers.now, [decision], wishes)
        assert list(ledger.parts().intents) == [f"{decision.signal_id}/entry"]
    assert ledger.parts() == read_anew(ledger)


def test_what_another_process_wrote_is_read(ledger: SqlLedger) -> None:
    """A standby that takes over, or the one that lost the lease, keeps nothing of before."""
    writers = Writers(ledger, random.Random(2))
    other = SqlLedger(Session(ledger.session.database, "paper", cache=PartsCache()))
    before = other.parts()
    writers.note()
    writers.verdict()
    assert other.parts() != before
    assert other.parts() == read_anew(ledger)
    writers.verdict()
    other.note(writers.epoch, writers.now, "test", "by the other")
    assert other.parts() == ledger.parts() == read_anew(ledger)


@pytest.mark.parametrize("seed", range(3))
def test_a_gate_that_is_told_changes_knows_what_one_knows_that_is_told_everything(ledger: SqlLedger, seed: int) -> None:
    writers = Writers(ledger, random.Random(100 + seed))
    before, day = ledger.parts(), writers.now.date()
    view = LedgerView.of(to_snapshot(before, writers.now))
    for turn in range(120):
        writers.several() if turn % 7 == 6 else writers.one()
        parts = ledger.parts()
        whole = LedgerView.of(to_snapshot(parts, writers.now, entries_locked_reason="X"))
        if parts.assets != before.assets or writers.now.date() != day:
            view, day = whole, writers.now.date()
        else:
            changes = to_changes(before, parts, writers.now, entries_locked_reason="X")
            view = view.after(execution.WatchSnapshotResponse.FromString(changes.SerializeToString()))
        assert as_read(view) == as_read(whole)
        assert whole.last_entries.items() <= view.last_entries.items()
        before = parts


def as_read(view: LedgerView) -> LedgerView:
    """The order of a symbol's open orders tells nothing; entries of more than two days ago are over for every rule."""
    orders = {name: tuple(sorted(found, key=lambda each: each.intent_id)) for name, found in view.open_orders.items()}
    return replace(view, open_orders=orders, last_entries={})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("looks_after", [1, 5, RECENT + 3])
def test_a_mirror_that_follows_what_was_touched_equals_one_made_of_everything(
    ledger: SqlLedger, seed: int, looks_after: int
) -> None:
    """However many commits lie between two looks; and so do the symbols that protection looks at."""
    writers = Writers(ledger, random.Random(200 + seed))
    mirror, resting = Mirror(), Resting()
    for turn in range(120):
        writers.several() if turn % 7 == 6 else writers.one()
        newest = ledger.parts()
        if turn % looks_after:
            continue
        mirror, whole = mirror_of(newest, mirror), mirror_of(read_anew(ledger), Mirror())
        assert replace(mirror, recent=()) == replace(whole, recent=())
        assert resting.awake(mirror, writers.now) == Resting().awake(whole, writers.now)
