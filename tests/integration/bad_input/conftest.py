"""One stack for all kinds of bad input: malformed messages come on every subject in the middle of its replay."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast_runtime.bus.buckets import NatsBucket
from holdfast_runtime.bus.dead_letters import DeadLetter, list_dead_letters
from holdfast_runtime.bus.streams import BUCKETS
from holdfast_runtime.ports.buckets import RevisionConflict
from tests.integration import visitor
from tests.integration.bad_input.disturbed import Disturbed
from tests.integration.bad_input.malformed import CONSUMED, NOISE, UNCONSUMED, Bad
from tests.integration.stack import Stack, eventually, running

WINDOW = ("--speed", "max", "--from", "2013-10-08T13:30:00Z", "--to", "2013-10-08T15:00:00Z")
MIDDLE = 30
"""Tick at which the malformed messages come."""


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with running(tmp_path_factory.mktemp("calm"), "--until-end", *WINDOW) as stack:
        return stack.report()


@pytest.fixture(scope="package")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturbed]:
    with running(tmp_path_factory.mktemp("disturbed"), *WINDOW) as stack:
        stack.wait_for_tick(MIDDLE)
        pids = visitor.pids(stack)
        asyncio.run(_publish(stack, (*CONSUMED, *UNCONSUMED)))
        eventually(lambda: (s := stack.venue("status")) and s["ended"] and s["settled"], "the end of the recording")
        letters = asyncio.run(_letters(stack, len(CONSUMED)))
        yield Disturbed(stack=stack, report=visitor.report_of(stack), letters=letters, pids=pids)


async def _publish(stack: Stack, messages: tuple[Bad, ...]) -> None:
    async with visitor.bus_of(stack) as bus:
        for number, each in enumerate(messages):
            await bus.publish(each.subject, each.payload, message_id=f"bad-{number}", headers={"traceparent": "00-x"})
        for spec in BUCKETS:
            bucket = NatsBucket(bus, spec.name)
            for key in ("global", "nothing"):
                await _overwrite(bucket, key)


async def _overwrite(bucket: NatsBucket, key: str) -> None:
    """Its owner may write at the same time."""
    while True:
        try:
            entry = await bucket.get(key)
            if entry is None:
                await bucket.create(key, NOISE)
            else:
                await bucket.update(key, NOISE, revision=entry.revision)
            return
        except RevisionConflict:
            continue


async def _letters(stack: Stack, at_least: int) -> list[DeadLetter]:
    """What was put aside of the messages above: the consumers may still be at it."""
    async with visitor.bus_of(stack) as bus, asyncio.timeout(60):
        while True:
            found = [each for each in await list_dead_letters(bus, limit=1_000) if each.message_id.startswith("bad-")]
            if len(found) >= at_least:
                return found
            await asyncio.sleep(0.1)
