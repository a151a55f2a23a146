"""With OTEL_EXPORTER_OTLP_ENDPOINT the same traces go to Jaeger, which is asked by its HTTP API."""

import json
import os
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import LOCKSTEP
from tests.integration.stack import eventually, running

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(900)]

IMAGE = "jaegertracing/all-in-one:1.62.0"
HOUR = ("--from", "2013-10-08T13:30:00Z", "--to", "2013-10-08T14:30:00Z")
SERVICES = {"signal", "scoring", "gate", "execution", "reconciliation"}


@pytest.fixture(scope="module")
def jaeger() -> Iterator[tuple[str, str]]:
    """Addresses of a Jaeger in a container: its OTLP port and its HTTP API."""
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    try:
        container = DockerContainer(IMAGE).with_exposed_ports(4318, 16686)
        container.start()
    except DockerException as error:
        reason = f"no container engine, or no image {IMAGE}: {error}"
        pytest.fail(reason) if os.environ.get("HOLDFAST_REQUIRE_DOCKER") else pytest.skip(reason)
    try:
        host = container.get_container_host_ip()
        api = f"http://{host}:{container.get_exposed_port(16686)}/api"
        eventually(lambda: ask(f"{api}/services"), "Jaeger answers", limit_secs=60)
        yield f"http://{host}:{container.get_exposed_port(4318)}", api
    finally:
        container.stop()


def ask(address: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return None


def test_jaeger_holds_every_service_of_a_filled_signals_trace(jaeger: tuple[str, str], tmp_path: Path) -> None:
    otlp, api = jaeger
    with running(tmp_path, *LOCKSTEP, *HOUR, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": otlp}) as stack:
        report = stack.report()
    entry = next(o for o in report["orders"] if o["purpose"] == "entry" and o["state"] == "filled")
    tags = urllib.parse.quote(json.dumps({"holdfast.signal_id": entry["signal_id"]}))

    def services_of_the_trace() -> set[str]:
        found = ask(f"{api}/traces?service=signal&lookback=1h&limit=20&tags={tags}") or {"data": []}
        return {process["serviceName"] for trace in found["data"] for process in trace["processes"].values()}

    eventually(lambda: services_of_the_trace() >= SERVICES, "the whole trace in Jaeger", limit_secs=60)
