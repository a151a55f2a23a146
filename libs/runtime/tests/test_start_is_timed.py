"""IN-1: how long a process took from its start until it was ready is measured, and shown once it is."""

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path

from holdfast_runtime.clock import process_age_secs
from holdfast_runtime.identity import Authority
from holdfast_runtime.service import Shell
from holdfast_runtime.settings import Settings, VenueKind, VenueSettings
from holdfast_runtime.starts import Starts
from holdfast_runtime.telemetry import metrics

NAME = "timed"


def shown() -> float | None:
    return metrics.REGISTRY.get_sample_value("holdfast_start_to_ready_seconds", {"name": NAME})


def shell(folder: Path) -> Shell:
    Authority(now=datetime.now(UTC)).write(folder, [NAME])
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (one, other)]
    listen = {name: f"127.0.0.1:{port}" for name, port in zip((NAME, f"{NAME}.health"), ports, strict=True)}
    settings = Settings(venue=VenueSettings(kind=VenueKind.ALPACA), listen=listen)
    return Shell(NAME, settings, folder, Starts(folder, NAME))


async def test_the_time_from_start_to_ready_is_told_when_the_service_is_ready(tmp_path: Path) -> None:
    loaded = asyncio.Event()
    service = shell(tmp_path)
    service.ready_when(loaded.is_set)
    served = asyncio.Event()

    async def serving() -> None:
        served.set()

    async def build(service: Shell) -> None:
        service.loop("work", serving)

    living = asyncio.create_task(service.live(build))
    await asyncio.wait_for(served.wait(), 60)
    assert shown() is None, "it serves, and is not ready yet"
    before = process_age_secs()
    loaded.set()
    async with asyncio.timeout(60):
        while shown() is None:  # noqa: ASYNC110 a loop of the service's own tells it, without an event
            await asyncio.sleep(0.01)
    service.over(0)
    assert await living == 0
    told, after = shown(), process_age_secs()
    assert before is not None
    assert told is not None
    assert after is not None
    assert 0 < before <= told <= after
