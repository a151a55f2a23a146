"""Health whose liveness is progress, on a plaintext port of its own (FP-6.3, PR-4).

`liveness`: every loop has completed a turn within its bound. Never a constant, never a dependency.
`readiness`: own state is loaded and can be answered for. Never the broker, the bus or a peer.
Whether trading is safe is a third thing: GREEN, YELLOW, RED.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics

STUCK_AFTER_SECS = 30.0
WATCH_EVERY_SECS = 1.0


@dataclass(slots=True)
class Progress:
    """When a loop last completed a turn; a turn that ended in a typed dependency error counts."""

    name: str
    clock: MonotonicClock
    stuck_after_secs: float
    last_secs: float = field(init=False)

    def __post_init__(self) -> None:
        self.last_secs = self.clock.now_secs()

    def __call__(self) -> None:
        self.last_secs = self.clock.now_secs()

    @property
    def age_secs(self) -> float:
        return self.clock.now_secs() - self.last_secs

    @property
    def stuck(self) -> bool:
        return self.age_secs > self.stuck_after_secs


class Health:
    """Liveness and readiness of one process."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._loops: dict[str, Progress] = {}
        self._conditions: list[Callable[[], bool]] = []
        self._started = False
        self._stopping = False

    def progress(self, name: str, *, stuck_after_secs: float = STUCK_AFTER_SECS) -> Progress:
        """The heartbeat of a loop: call it once per turn."""
        if name not in self._loops:
            progress = self._loops[name] = Progress(name, self._clock, stuck_after_secs)
            metrics.LOOP_AGE.labels(loop=name).set_function(lambda: progress.age_secs)
        return self._loops[name]

    def touch(self, name: str) -> None:
        """A turn of that loop is over; nothing where it has no heartbeat."""
        if name in self._loops:
            self._loops[name]()

    def ready_when(self, condition: Callable[[], bool]) -> None:
        self._conditions.append(condition)

    def started(self) -> None:
        """The service is built: from here on its conditions decide."""
        self._started = True

    def stopping(self) -> None:
        self._stopping = True

    @property
    def ready(self) -> bool:
        return self._started and not self._stopping and all(condition() for condition in self._conditions)

    @property
    def stuck_loops(self) -> list[str]:
        """Names of loops without progress within their bound."""
        return [name for name, progress in self._loops.items() if progress.stuck]

    def ages(self) -> dict[str, tuple[float, float]]:
        """By loop: seconds since its last completed turn, and the bound it is held to."""
        return {name: (each.age_secs, each.stuck_after_secs) for name, each in self._loops.items()}

    def status(self, name: str) -> Any:
        """ServingStatus of `liveness`, `readiness` or the whole (empty name)."""
        serving = {"liveness": not self.stuck_loops, "readiness": self.ready, "": self.ready and not self.stuck_loops}
        if name not in serving:
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        return health_pb2.HealthCheckResponse.SERVING if serving[name] else health_pb2.HealthCheckResponse.NOT_SERVING


class HealthServicer(health_pb2_grpc.HealthServicer):
    """grpc.health.v1 over Health, computed at each check."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 the protocol's name
        status = self._health.status(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.service!r}: liveness or readiness")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802, ARG002
        last = None
        while True:
            status = self._health.status(request.service)
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(WATCH_EVERY_SECS)


async def serve_health(health: Health, address: str) -> grpc.aio.Server:
    """A plaintext server with Health alone: kubelet probes speak no TLS, and a second port would serve everything."""
    server = grpc.aio.server(maximum_concurrent_rpcs=16, options=(("grpc.so_reuseport", 0),))
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(health), server)
    server.add_insecure_port(address)
    await server.start()
    return server
