"""In a pod a service listens on every address of it and is called by its name: the two are told apart (IN-8)."""

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from holdfast_runtime.config import InvalidConfiguration
from holdfast_runtime.identity import Authority
from holdfast_runtime.service import Shell
from holdfast_runtime.settings import Settings, VenueKind, VenueSettings
from holdfast_runtime.starts import Starts

NAMES = ("gate", "gate.health")


def free_addresses() -> list[str]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other)]


def settings(**maps: dict[str, str]) -> Settings:
    return Settings(venue=VenueSettings(kind=VenueKind.ALPACA), **maps)


async def test_a_service_listens_where_it_is_told_and_calls_others_by_their_endpoint(tmp_path: Path) -> None:
    Authority(now=datetime.now(UTC)).write(tmp_path, ["gate"])
    listen = dict(zip(NAMES, free_addresses(), strict=True))
    shell = Shell(
        "gate",
        settings(endpoints={name: f"{name}.invalid:1" for name in NAMES}, listen=listen),
        tmp_path,
        Starts(tmp_path, "gate"),
    )
    built = asyncio.Event()

    async def build(shell: Shell) -> None:
        built.set()

    living = asyncio.create_task(shell.live(build))
    await built.wait()
    async with grpc.aio.insecure_channel(listen["gate.health"]) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="liveness"), timeout=60, wait_for_ready=True
        )
    shell.over(0)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert await living == 0
    assert shell.endpoint("gate") == "gate.invalid:1"


def test_without_an_address_of_its_own_a_service_listens_on_its_endpoint() -> None:
    found = settings(endpoints={"gate": "127.0.0.1:7"}, listen={"gate.metrics": "0.0.0.0:9090"})
    assert found.listens_on("gate") == "127.0.0.1:7"
    assert found.listens_on("gate.metrics") == "0.0.0.0:9090"
    assert found.listens_on("gate.health") is None


async def test_a_service_without_any_address_refuses_to_start_and_names_the_key(tmp_path: Path) -> None:
    Authority(now=datetime.now(UTC)).write(tmp_path, ["gate"])

    async def build(shell: Shell) -> None:
        raise AssertionError("not built before it can answer for its health")

    with pytest.raises(InvalidConfiguration, match=r"endpoints\.gate\.health"):
        await Shell("gate", settings(), tmp_path, Starts(tmp_path, "gate")).live(build)
