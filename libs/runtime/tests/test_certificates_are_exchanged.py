"""A mounted certificate is exchanged while the process runs: no call is lost, nothing broken is used (SE-1)."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.certificates import Certificates
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.errors import Retry
from holdfast_runtime.identity import AUTHORITY_FILE, Authority
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.rpc.client import Remotes
from holdfast_runtime.rpc.server import RpcServer

pytestmark = pytest.mark.usefixtures("patient_calls")

CLOCK = SystemMonotonicClock()
NOW = datetime.now(UTC)
SERVICES = ("execution", "gate")
GRACE_SECS = 5.0
"""A call under way must outlive two renewals on a busy machine."""


@dataclass
class Execution:
    """Answers when it may."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitResponse:
        self.asked.set()
        await self.may_answer.wait()
        return pb.SubmitResponse(ledger_version=7)

    async def watch_snapshot(self, request: pb.WatchSnapshotRequest) -> AsyncIterator[pb.WatchSnapshotResponse]:
        yield pb.WatchSnapshotResponse(snapshot=pb.LedgerSnapshot(version=1))
        await asyncio.Event().wait()

    def __getattr__(self, name: str) -> Any:
        async def unused(request: object) -> object:
            raise AssertionError(f"{name} is not part of this test")

        return unused


class Both:
    """Execution's server and gate's client, each with its mounted certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(now=NOW)
        self.authority.write(folder, SERVICES)
        self.execution = Execution()
        self.certificates = {name: Certificates(folder, name) for name in SERVICES}
        own = {name: found.identity for name, found in self.certificates.items()}
        self.server = RpcServer(identity=own["execution"], clock=CLOCK, activity=ActivityTracker())
        self.server.add(ExecutionCalls, self.execution, {"submit": frozenset({"gate"})})
        self.remotes = Remotes(identity=own["gate"], clock=CLOCK, renew_grace_secs=GRACE_SECS)
        self.certificates["execution"].use(self.server.renew)
        self.certificates["gate"].use(self.remotes.renew)
        self.port = 0

    def caller(self) -> ExecutionCalls:
        return self.remotes.remote(ExecutionCalls, "execution", f"127.0.0.1:{self.port}")

    def mount(self, authority: Authority, *, trusted: tuple[Authority, ...] = ()) -> None:
        """Puts certificates of `authority` in the place of those that are there."""
        authority.write(self.folder, SERVICES)
        bundle = b"".join(each.certificate for each in (authority, *trusted))
        (self.folder / AUTHORITY_FILE).write_bytes(bundle)

    async def refresh(self) -> None:
        for found in self.certificates.values():
            assert await found.refresh(now=NOW)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    found = Both(tmp_path)
    found.port = await found.server.start("127.0.0.1:0")
    yield found
    await found.remotes.close()
    await found.server.stop(0)


async def submitted(caller: ExecutionCalls) -> int:
    return (await caller.submit(pb.SubmitRequest())).ledger_version


async def test_calls_under_way_end_well_and_new_ones_use_the_new_certificates(both: Both) -> None:
    """The authority is replaced in the steps in which `holdfast certificates` does it."""
    caller = both.caller()
    under_way = asyncio.create_task(submitted(caller))
    await both.execution.asked.wait()
    old, new = both.authority, Authority(now=NOW)
    both.mount(old, trusted=(new,))
    await both.refresh()
    both.mount(new, trusted=(old,))
    await both.refresh()
    both.execution.may_answer.set()
    assert await under_way == 7
    assert await submitted(caller) == 7
    both.mount(new)
    await both.refresh()
    assert await submitted(caller) == 7
    # Nobody knows the old authority any more: not who answers, and not who asks.
    stranger = Remotes(identity=old.issue("gate"), clock=CLOCK)
    with pytest.raises(Retry):
        await submitted(stranger.remote(ExecutionCalls, "execution", f"127.0.0.1:{both.port}"))
    await stranger.close()


async def test_a_stream_is_to_be_opened_again_and_its_reader_is_not_cancelled(both: Both) -> None:
    caller = both.caller()
    stream = caller.watch_snapshot(pb.WatchSnapshotRequest())
    assert (await anext(stream)).snapshot.version == 1
    both.mount(Authority(now=NOW), trusted=(both.authority,))
    await both.refresh()
    with pytest.raises(Retry, match="renewed"):
        await anext(stream)
    again = caller.watch_snapshot(pb.WatchSnapshotRequest())
    assert (await anext(again)).snapshot.version == 1
    await again.aclose()


def half_written(both: Both) -> None:
    (both.folder / "gate.crt").write_bytes((both.folder / "gate.crt").read_bytes()[:100])


def gone(both: Both) -> None:
    (both.folder / "gate.key").unlink()


def of_another_key(both: Both) -> None:
    shutil.copy(both.folder / "execution.key", both.folder / "gate.key")


def of_another_service(both: Both) -> None:
    for kind in ("crt", "key"):
        shutil.copy(both.folder / f"execution.{kind}", both.folder / f"gate.{kind}")


def over(both: Both) -> None:
    both.mount(Authority(now=NOW - timedelta(days=90)), trusted=(both.authority,))


def of_a_stranger(both: Both) -> None:
    Authority(now=NOW).write(both.folder, SERVICES)
    (both.folder / AUTHORITY_FILE).write_bytes(both.authority.certificate)


@pytest.mark.parametrize("broken", [half_written, gone, of_another_key, of_another_service, over, of_a_stranger])
async def test_what_cannot_be_used_is_told_and_the_last_good_one_goes_on(both: Both, broken: Any) -> None:
    both.execution.may_answer.set()
    gate = both.certificates["gate"]
    before = gate.identity
    broken(both)
    assert not await gate.refresh(now=NOW)
    assert gate.identity == before
    assert gate.kept
    assert await submitted(both.caller()) == 7
    both.mount(both.authority)
    await both.refresh()
    assert gate.kept == ""


async def test_what_has_not_changed_is_not_handed_on(both: Both) -> None:
    given = []

    async def renewed(identity: object) -> None:
        given.append(identity)

    gate = both.certificates["gate"]
    gate.use(renewed)
    assert not await gate.refresh(now=NOW)
    both.mount(both.authority)
    assert await gate.refresh(now=NOW)
    assert not await gate.refresh(now=NOW)
    assert given == [gate.identity]


async def test_who_could_not_go_over_is_asked_again_and_the_others_are_not(both: Both) -> None:
    asked: list[str] = []

    async def away(identity: object) -> None:
        asked.append("away")
        if len(asked) < 3:
            raise Retry("the bus refuses the new certificate")

    async def well(identity: object) -> None:
        asked.append("well")

    gate = both.certificates["gate"]
    gate.use(away)
    gate.use(well)
    both.mount(both.authority)
    assert await gate.refresh(now=NOW)
    assert "refuses" in gate.kept
    assert not await gate.refresh(now=NOW)
    assert asked == ["away", "well", "away"]
    assert gate.kept == ""
