"""The life of one service process: what every `__main__` runs, so that wiring is all that is left there.

Start: configuration, telemetry, health (not ready), bus, build, gRPC, loops, ready.
Stop at SIGTERM: unready, stop loops, the service's own stop in reverse order, gRPC, bus, telemetry.
"""

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal as signals
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog
import uvloop

from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.bus.buckets import NatsBucket
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.certificates import Certificates
from holdfast_runtime.clock import SystemMonotonicClock, VenueMarketClock, WallMarketClock, process_age_secs
from holdfast_runtime.config import InvalidConfiguration, load_settings
from holdfast_runtime.errors import AskPerson, GiveUp
from holdfast_runtime.exits import EXIT_GAVE_UP, EXIT_INVALID_CONFIGURATION, EXIT_NEEDS_PERSON
from holdfast_runtime.flows import VENUE
from holdfast_runtime.health import STUCK_AFTER_SECS, Health, Progress, serve_health
from holdfast_runtime.identity import Identity
from holdfast_runtime.lockstep import TickFollower
from holdfast_runtime.loops import supervise, watch_for_end
from holdfast_runtime.ports.buckets import Bucket
from holdfast_runtime.ports.calls import MarketClockCalls
from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.rpc.client import Remotes
from holdfast_runtime.rpc.server import RpcServer
from holdfast_runtime.secrets import SecretStore, hide_registered
from holdfast_runtime.settings import Settings, VenueKind
from holdfast_runtime.starts import Starts
from holdfast_runtime.telemetry import logs, metrics, traces

Port = TypeVar("Port")

SECRETS_EVERY_SECS = 30.0
READY_LOOK_SECS = 0.05
STOP_GRACE_SECS = 5.0
GARBAGE_THRESHOLD = 20_000
"""Objects made since the last search for garbage that begin the next one; Python's own 700 are one signal's."""
SWITCH_SECS = 0.0005
"""A thread that waits for its turn gets it after so long. The default of 5 ms is more than a whole order takes: the
ledger's writer and the broker's sender would wait behind an event loop that is busy with what is not urgent."""
TELEMETRY_FLUSH_SECS = 3.0
TERMINATION_VARIABLE, TERMINATION_FILE = "HOLDFAST_TERMINATION_LOG", "/dev/termination-log"
MAX_TERMINATION_CHARS = 1_000
"""The kubelet shows 4096 bytes of it."""

log = structlog.get_logger()


class Shell:
    """What a service is wired with. Built by `run`; a service's `build` takes its ports from here."""

    def __init__(self, name: str, settings: Settings, certificates: Path, starts: Starts) -> None:
        self.name = name
        self.settings = settings
        self.monotonic_clock = SystemMonotonicClock()
        self.activity = ActivityTracker()
        self.secrets = SecretStore.from_environment()
        self.health = Health(self.monotonic_clock)
        self.market_clock: MarketClock
        self.starts = starts
        self.certificates = Certificates(certificates, name)
        identity = self.certificates.identity
        self._server = RpcServer(identity=identity, clock=self.monotonic_clock, activity=self.activity)
        self._server.answer_health(self.health)
        self._remotes = Remotes(identity=identity, clock=self.monotonic_clock)
        self.certificates.use(self._server.renew)
        self.certificates.use(self._remotes.renew)
        self._loops: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._on_stop: list[Callable[[], Awaitable[None]]] = []
        self._bus: NatsBus | None = None
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._takes_part: Callable[[], bool] = lambda: True
        self._choose_clock()

    def _choose_clock(self) -> None:
        if self.settings.venue.kind is not VenueKind.PAPERMARKET:
            self.market_clock = WallMarketClock()
            return
        clock = VenueMarketClock()
        self.market_clock = clock
        if self.name == VENUE:
            return
        follower = TickFollower(
            service=self.name,
            venue=self.remote(MarketClockCalls, VENUE),
            market_clock=clock,
            monotonic_clock=self.monotonic_clock,
            activity=self.activity,
            progress=self.progress("market-clock"),
        )
        follower.ready = lambda: self.health.ready
        follower.takes_part = lambda: self._takes_part()
        self.health.ready_when(clock.started.is_set)
        self.loop("market-clock", follower.run)

    @property
    def bus(self) -> NatsBus:
        """The bus, connected in the background: until it is there, publishing raises Retry."""
        if self._bus is None:
            settings = self.settings.bus
            token = self.secrets.optional("NATS_TOKEN")
            self._bus = NatsBus(
                url=settings.url,
                name=self.name,
                replicas=settings.replicas,
                token=token.reveal() if token else None,
                tls=self.certificates.client_context if settings.encrypted else None,
                service=self.name,
                progress=self.progress,
            )
            self.certificates.use(self._renew_bus)
        return self._bus

    async def _renew_bus(self, _identity: Identity) -> None:
        await self.bus.renew()

    def bucket(self, name: str) -> Bucket:
        """A key-value bucket declared in the table of buckets."""
        return NatsBucket(self.bus, name)

    def remote(self, port: type[Port], service: str) -> Port:
        """A caller of `service` that implements `port`."""
        return self._remotes.remote(port, service, self.endpoint(service))

    async def answers(self, service: str, *, timeout_secs: float) -> bool:
        """Whether `service` serves, asked under this one's identity on a connection of its own (IN-8).

        Raises Retry or Refused naming what is in the way."""
        return await self._remotes.answers(service, self.endpoint(service), timeout_secs=timeout_secs)

    def mounted_identity(self) -> Identity:
        """Certificate and key as they are on disk now. Raises IdentityUnavailable."""
        return self.certificates.mounted()

    def endpoint(self, name: str) -> str:
        """host:port under which a service is called. Raises InvalidConfiguration where none is given."""
        return _given(name, self.settings.endpoints.get(name))

    def listens_on(self, name: str) -> str:
        """host:port on which this process serves `name`. Raises InvalidConfiguration where none is given."""
        return _given(name, self.settings.listens_on(name))

    def serve(self, port: type, implementation: object, allow: Mapping[str, set[str]] | None = None) -> None:
        """Exposes `implementation` as `port`. `allow`: identities that may call a method; absent: any service."""
        allowed = {method: frozenset(callers) for method, callers in (allow or {}).items()}
        self._server.add(port, implementation, allowed)

    def progress(self, name: str, *, stuck_after_secs: float = STUCK_AFTER_SECS) -> Progress:
        """The heartbeat of a loop: call it once per turn, idle turns included."""
        return self.health.progress(name, stuck_after_secs=stuck_after_secs)

    def loop(self, name: str, turn: Callable[[], Awaitable[None]]) -> None:
        """Runs `turn` supervised while the service lives."""
        self._loops.append((name, turn))

    def ready_when(self, condition: Callable[[], bool]) -> None:
        self.health.ready_when(condition)

    def takes_part_when(self, condition: Callable[[], bool]) -> None:
        """A lock-step waits for this process only while `condition` holds: a standby has nothing to settle."""
        self._takes_part = condition

    def on_stop(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Called at the end, in reverse order, while gRPC, bus and telemetry still work."""
        self._on_stop.append(stop)

    def over(self, exit_code: int) -> None:
        """Ends the process in order."""
        if not self._over.done():
            self._over.set_result(exit_code)

    async def live(self, build: Callable[["Shell"], Awaitable[None]]) -> int:
        """Builds, serves until told to stop, stops in order; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signals.SIGTERM, signals.SIGINT):
            loop.add_signal_handler(number, self.over, 0)
        health_server = await serve_health(self.health, self.listens_on(f"{self.name}.health"))
        if address := self.settings.listens_on(f"{self.name}.metrics"):
            metrics.serve(address)
        metrics.READY.labels(name=self.name).set_function(lambda: float(self.health.ready))
        self.loop("secrets", self._refresh_secrets)
        self.loop("start", self._tell_when_ready)
        try:
            await build(self)
            if self._bus is not None:
                self.loop("bus", self._bus.run)
            await self._server.start(self.listens_on(self.name))
            for name, turn in self._loops:
                self._start(name, turn)
            self.health.started()
            _spare_the_collector()
            log.info("service.started")
            return await self._over
        finally:
            self.health.stopping()
            await self._stop()
            await health_server.stop(0.5)

    def _start(self, name: str, turn: Callable[[], Awaitable[None]]) -> None:
        def ended(error: BaseException | None) -> None:
            if error is not None:
                log.error("service.loop_over", loop=name, error=str(error))
                tell_end(self.name, _with_steps(error))
                self.over(EXIT_NEEDS_PERSON if isinstance(error, AskPerson) else EXIT_GAVE_UP)

        supervised = supervise(name, turn, self.monotonic_clock, lambda: self.health.touch(name))
        task = asyncio.create_task(supervised, name=name)
        watch_for_end(task, ended)
        self._tasks.append(task)

    async def _tell_when_ready(self) -> None:
        """How long it took until this service could be used (IN-1)."""
        while not self.health.ready:
            await self.monotonic_clock.sleep(READY_LOOK_SECS)
        if (secs := process_age_secs()) is not None:
            metrics.START_TO_READY.labels(name=self.name).set(secs)
            log.info("service.ready", start_to_ready_secs=round(secs, 2))

    async def _refresh_secrets(self) -> None:
        """Mounted secrets and certificates are read again, so that a rotation needs no restart (SE-1, IN-6)."""
        wall = WallMarketClock()
        while True:
            await self.monotonic_clock.sleep(SECRETS_EVERY_SECS)
            await self.certificates.refresh(now=wall.now())
            refreshed = self.secrets.refresh()
            if refreshed.changed:
                log.info("secrets.rotated", names=list(refreshed.changed))
            for name, reason in refreshed.kept.items():
                log.warning("secrets.kept_last_good", name=name, reason=reason)

    async def _stop(self) -> None:
        log.info("service.stopping")
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_GRACE_SECS)
        for stop in reversed(self._on_stop):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_GRACE_SECS):
                    await stop()
        await self._server.stop(STOP_GRACE_SECS)
        if self._bus is not None:
            await self._bus.close()
        await self._remotes.close()


def _given(name: str, address: str | None) -> str:
    if not address:
        raise InvalidConfiguration(f"endpoints.{name}: missing; give its host:port")
    return address


def _spare_the_collector() -> None:
    """What is there now stays for good: it is not searched for garbage again, and a whole cycle of signals fits between
    two searches of what is new."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])


def tell_end(name: str, why: str) -> None:
    """Says why the process ends where a person looks: on stderr, and in a cluster as the pod's termination message, so
    that a restart does not hide the cause (SE-4). No secret is in it."""
    text = hide_registered(f"holdfast {name}: {why}\n")
    sys.stderr.write(text)
    file = Path(os.environ.get(TERMINATION_VARIABLE, TERMINATION_FILE))
    # Made by the kubelet; elsewhere there is none, and none is made.
    with contextlib.suppress(OSError), file.open("r+") as message:
        message.truncate()
        message.write(text[:MAX_TERMINATION_CHARS])


def _with_steps(error: BaseException) -> str:
    steps = error.steps if isinstance(error, AskPerson) else ()
    return "\n  - ".join((str(error), *steps))


def run(name: str, build: Callable[[Shell], Awaitable[None]]) -> None:
    """Runs a service process to its end. Exit 78: the configuration is wrong; 77: a person is needed; 70: gave up."""
    config = os.environ.get("HOLDFAST_CONFIG")
    try:
        settings = load_settings(Path(config) if config else None, os.environ, None)
    except InvalidConfiguration as error:
        tell_end(name, f"the configuration is refused\n{error}")
        sys.exit(EXIT_INVALID_CONFIGURATION)
    # Told so before it is killed for want of progress, a process writes where each of its threads stands.
    faulthandler.register(signals.SIGUSR1, all_threads=True)
    sys.setswitchinterval(SWITCH_SECS)
    logs.setup(name, settings)
    traces.setup(name, settings)
    certificates = Path(os.environ.get("HOLDFAST_CERTIFICATES", settings.state_dir / "certificates"))

    wall, starts = WallMarketClock(), Starts(settings.state_dir, name)
    starts.began(wall.now())

    async def main() -> tuple[int, str]:
        """Exit code and the cause; empty where it was told to stop."""
        try:
            code = await Shell(name, settings, certificates, starts).live(build)
        except AskPerson as error:
            log.error("service.needs_person", error=str(error), steps=list(error.steps))
            tell_end(name, _with_steps(error))
            return EXIT_NEEDS_PERSON, str(error)
        except InvalidConfiguration as error:
            tell_end(name, f"the configuration is refused\n{error}")
            return EXIT_INVALID_CONFIGURATION, str(error)
        except GiveUp as error:
            log.exception("service.gave_up", error=str(error))
            tell_end(name, str(error))
            return EXIT_GAVE_UP, str(error)
        return code, f"it ended itself with exit code {code}; its log says why" if code else ""

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            code, cause = runner.run(main())
        except BaseException as error:
            starts.ended(wall.now(), f"{type(error).__name__}: {error}")
            raise
    starts.ended(wall.now(), cause)
    traces.shutdown(TELEMETRY_FLUSH_SECS)
    logs.shutdown()
    sys.exit(code)
