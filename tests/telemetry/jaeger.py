"""A Jaeger to send traces to, and its HTTP API: a `jaeger` in the PATH, else a container."""

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast_cli.ports import free_ports
from tests.integration.stack import eventually

IMAGE = "jaegertracing/all-in-one:1.62.0"
LISTENS_ON = (
    "collector.otlp.http.host-port", "query.http-server.host-port", "collector.otlp.grpc.host-port",
    "query.grpc-server.host-port", "admin.http.host-port", "collector.grpc-server.host-port",
    "collector.http-server.host-port", "http-server.host-port", "processor.jaeger-binary.server-host-port",
    "processor.jaeger-compact.server-host-port", "processor.zipkin-compact.server-host-port",
)  # fmt: skip
"""The first two are asked."""
REQUIRED = ("HOLDFAST_REQUIRE_DOCKER", "HOLDFAST_REQUIRE_CLOUD_TOOLS")

Edge = tuple[str, str]
"""`service name` of a span, and of one below it."""


@dataclass(frozen=True, slots=True)
class Jaeger:
    """Addresses of its OTLP port and of its API."""

    otlp: str
    api: str

    def ask(self, path: str) -> dict[str, Any] | None:
        """None while it does not answer, or knows nothing of it."""
        try:
            with urllib.request.urlopen(f"{self.api}/{path}", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return None

    def trace_of(self, service: str, **tags: str) -> str:
        """Id of the newest trace in which a span of `service` has these tags; empty where there is none yet."""
        named = urllib.parse.quote(json.dumps({f"holdfast.{name}": value for name, value in tags.items()}))
        found = (self.ask(f"traces?service={service}&lookback=1h&limit=20&tags={named}") or {"data": []})["data"]
        return str(found[0]["traceID"]) if found else ""

    def edges(self, trace_id: str) -> set[Edge]:
        """Every pair of a span and one right below it."""
        found = (self.ask(f"traces/{trace_id}") or {"data": []})["data"]
        named = {
            span["spanID"]: (f"{trace['processes'][span['processID']]['serviceName']} {span['operationName']}", span)
            for trace in found
            for span in trace["spans"]
        }
        return {
            (named[above["spanID"]][0], name)
            for name, span in named.values()
            for above in span["references"]
            if above["refType"] == "CHILD_OF" and above["spanID"] in named
        }


@contextmanager
def running_jaeger() -> Iterator[Jaeger]:
    """Skips where there is neither the program nor a container engine, and fails where that must not be."""
    with ExitStack() as stack:
        program = shutil.which("jaeger")
        found = stack.enter_context(_process(program) if program else _container())
        eventually(lambda: found.ask("services"), "Jaeger answers", limit_secs=60)
        yield found


@contextmanager
def _process(program: str) -> Iterator[Jaeger]:
    ports = free_ports(len(LISTENS_ON))
    flags = [f"--{name}=127.0.0.1:{port}" for name, port in zip(LISTENS_ON, ports, strict=True)]
    jaeger = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Jaeger(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}/api")
    finally:
        # It has nothing to keep, and its own shutdown may take long.
        jaeger.kill()
        jaeger.wait()


@contextmanager
def _container() -> Iterator[Jaeger]:
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    try:
        container = DockerContainer(IMAGE).with_exposed_ports(4318, 16686)
        container.start()
    except DockerException as error:
        reason = f"no jaeger in the PATH, and no container engine or no image {IMAGE}: {error}"
        pytest.fail(reason) if any(os.environ.get(name) for name in REQUIRED) else pytest.skip(reason)
    try:
        host = container.get_container_host_ip()
        otlp, query = (container.get_exposed_port(port) for port in (4318, 16686))
        yield Jaeger(f"http://{host}:{otlp}", f"http://{host}:{query}/api")
    finally:
        container.stop()
