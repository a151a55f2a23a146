"""Asks every service of the stack the two questions that Kubernetes asks: alive? ready?"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2

from holdfast_admin.domain.sources import Sources
from holdfast_admin.domain.views import ServiceView
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock

EVERY_SECS = 1.0
TIMEOUT_SECS = 2.0
FAILURES = 2
"""One missed answer is no news."""
SUFFIX = ".health"
TITLES = {"nats": "NATS"}
ORDER = ("papermarket", "signal", "scoring", "gate", "execution", "reconciliation", "admin")
OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))


Check: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]"


class PeerHealth:
    """Keeps `sources.services` for every `<service>.health` of the endpoints, and for the bus."""

    def __init__(
        self,
        sources: Sources,
        *,
        endpoints: dict[str, str],
        bus_answers: Callable[[], bool],
        clock: MonotonicClock,
        wall_clock: MarketClock,
    ) -> None:
        self._sources = sources
        self._addresses = {
            name.removesuffix(SUFFIX): address for name, address in endpoints.items() if name.endswith(SUFFIX)
        }
        self._bus_answers = bus_answers
        self._clock = clock
        self._wall = wall_clock
        self._missed: dict[str, int] = {}
        names = sorted(self._addresses, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
        for name in (*names, "nats"):
            title = TITLES.get(name, name.capitalize())
            sources.services[name] = ServiceView(name=name, title=title, alive=None, ready=None, since=None)

    async def run(self, progress: Callable[[], None]) -> None:
        """Asks until cancelled."""
        async with AsyncExitStack() as stack:
            checks: dict[str, Check] = {}
            for name, address in self._addresses.items():
                channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=OPTIONS))
                checks[name] = channel.unary_unary(
                    "/grpc.health.v1.Health/Check",
                    health_pb2.HealthCheckRequest.SerializeToString,
                    health_pb2.HealthCheckResponse.FromString,
                )
            while True:
                await asyncio.gather(*(self._look(name, check) for name, check in checks.items()))
                answers = self._bus_answers()
                self._store("nats", alive=answers, ready=answers)
                progress()
                await self._clock.sleep(EVERY_SECS)

    async def _look(self, name: str, check: Check) -> None:
        try:
            alive, ready = await asyncio.gather(self._ask(check, "liveness"), self._ask(check, "readiness"))
        except grpc.aio.AioRpcError:
            alive = ready = False
        self._store(name, alive=alive, ready=ready and alive)

    @staticmethod
    async def _ask(check: Check, service: str) -> bool:
        answer = await check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_SECS)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _store(self, name: str, *, alive: bool, ready: bool) -> None:
        known = self._sources.services[name]
        if alive and ready:
            self._missed[name] = 0
        elif known.alive is None or known.ready:
            self._missed[name] = self._missed.get(name, 0) + 1
            if self._missed[name] < FAILURES:
                return
        if (known.alive, known.ready) != (alive, ready):
            update = {"alive": alive, "ready": ready, "since": self._wall.now()}
            self._sources.services[name] = known.model_copy(update=update)
