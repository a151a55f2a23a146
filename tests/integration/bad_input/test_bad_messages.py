"""Malformed, oversized and late messages: put aside with their reason, nothing lost, no order (PR-1, BS-3)."""

import asyncio
import subprocess
from typing import Any

import nats
import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_runtime.bus.streams import STREAMS, matches
from holdfast_runtime.errors import GiveUp
from holdfast_runtime.ports.calls import ExecutionCalls
from tests.integration import visitor
from tests.integration.bad_input.disturbed import Disturbed
from tests.integration.bad_input.malformed import CONSUMED, UNCONSUMED, a_cycle, a_signal
from tests.integration.stack import HOLDFAST, assert_alike, eventually

pytestmark = pytest.mark.stack

MIB = 1024 * 1024


def test_every_declared_subject_is_given_malformed_messages() -> None:
    subjects = {each.subject for each in (*CONSUMED, *UNCONSUMED)}
    patterns = [pattern for stream in STREAMS for pattern in stream.subjects]
    assert [pattern for pattern in patterns if not any(matches(pattern, each) for each in subjects)] == []


def test_each_is_put_aside_once_byte_for_byte_with_its_reason(disturbed: Disturbed) -> None:
    by_id = {letter.message_id: letter for letter in disturbed.letters}
    assert len(by_id) == len(disturbed.letters) == len(CONSUMED)
    for number, each in enumerate(CONSUMED):
        letter = by_id[f"bad-{number}"]
        assert letter.payload == each.payload
        assert (letter.subject, letter.consumer, letter.kind) == (each.subject, each.consumer, "Malformed")
        assert letter.reason, each
        assert each.names in letter.reason, each


def test_the_replay_ends_to_the_cent_as_if_they_had_not_come(disturbed: Disturbed, undisturbed: dict[str, Any]) -> None:
    """Nothing lost, no order: same decisions, orders, fills and cash."""
    assert undisturbed["orders"], "a replay without an order proves nothing"
    assert_alike(disturbed.report, undisturbed)
    assert [each for each in disturbed.report["invariants"] if not each["held"]] == []
    assert disturbed.report["reconciliation"] == {"state": "clean", "discrepancies": []}
    disturbed.unharmed()


def test_a_whole_cycle_that_is_too_old_is_decided_as_expired_and_never_traded(disturbed: Disturbed) -> None:
    """One of a strategy that nobody configured is blocked as well; a trace context that is none harms nothing."""
    before = disturbed.books()
    old = a_cycle(cycle_id="old", signals=[a_signal(signal_id="old.SPY")])
    ghost = a_cycle(cycle_id="ghost", strategy="ghost", signals=[a_signal(signal_id="ghost.SPY", traceparent="00-x")])

    async def send() -> None:
        async with visitor.bus_of(disturbed.stack) as bus:
            for cycle in (old, ghost):
                subject = f"cycles.v1.{cycle.strategy}"
                await bus.publish(subject, cycle.SerializeToString(), message_id=cycle.cycle_id)

    asyncio.run(send())
    eventually(lambda: len(disturbed.decided("old.SPY", "ghost.SPY")) == 2, "both decided")
    request = execution.GetDecisionsRequest(signal_ids=["old.SPY", "ghost.SPY"])
    answer = visitor.call(
        disturbed.stack, ExecutionCalls, "execution", lambda port: port.get_decisions(request), identity="operator"
    )
    assert [each.allowed for each in answer.decisions] == [False, False]
    assert {each.signal_id: each.reason for each in answer.decisions}["old.SPY"] == "CYCLE_EXPIRED"
    assert disturbed.books() == before


def test_an_oversized_message_is_refused_to_its_publisher(disturbed: Disturbed) -> None:
    async def send() -> None:
        async with visitor.bus_of(disturbed.stack) as bus:
            with pytest.raises(GiveUp, match="bytes, stream CYCLES takes"):
                await bus.publish("cycles.v1.sma", b"x" * MIB, message_id="large")
            # Past our own client, the server refuses it too.
            before = await bus.last_position("CYCLES")
            with pytest.raises(nats.js.errors.BadRequestError, match="message size exceeds maximum"):
                await bus.link.js.publish("cycles.v1.sma", b"x" * 1_000_000)
            assert await bus.last_position("CYCLES") == before

    asyncio.run(send())
    disturbed.unharmed()


def test_a_subject_that_no_stream_declares_is_refused(disturbed: Disturbed) -> None:
    async def send() -> None:
        async with visitor.bus_of(disturbed.stack) as bus:
            with pytest.raises(GiveUp, match="no declared stream"):
                await bus.publish("orders.v1.SPY", b"x", message_id="x")

    asyncio.run(send())


def test_the_bus_refuses_a_wrong_token(disturbed: Disturbed) -> None:
    async def connect(token: str | None) -> None:
        await nats.connect(
            disturbed.stack.settings["bus"]["url"], token=token, allow_reconnect=False, max_reconnect_attempts=0
        )

    for token in (None, "", "wrong"):
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            asyncio.run(connect(token))


def test_after_all_of_it_a_person_sees_every_process_ready(disturbed: Disturbed) -> None:
    """`holdfast status`, as one types it."""
    command = [str(HOLDFAST), "status", "--state-dir", str(disturbed.stack.state_dir)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    lines = shown.stdout.splitlines()
    assert "2013-10-08 11:00:00 New York  ended" in lines[0]
    ready = {line.split()[0]: int(line.split()[-1]) for line in lines if " ready " in line}
    assert ready == disturbed.pids
    assert visitor.admin(disturbed.stack, "/") in lines[-1]
