"""Calls between the nodes of the world, behind the same ports as gRPC: deadlines, lost and doubled messages, resets."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from google.rpc.error_details_pb2 import ErrorInfo

from holdfast_runtime.calls import Call, current, enter
from holdfast_runtime.errors import Code, HoldfastError, Malformed, Refused, Retry
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.rpc.client import DEFAULT_DEADLINE_SECS, of_the_holder
from holdfast_runtime.rpc.contracts import Method, methods
from holdfast_runtime.rpc.server import describe, told
from holdfast_simulation.world.faults import Kind, Weather
from holdfast_simulation.world.loop import Node, SeededLoop

Port = TypeVar("Port")

LATENCY_SECS = 0.001
DELAYED_AT_MOST_SECS = 4.0
RETRY_SECS = 0.2
_OVER = object()


@dataclass(slots=True, eq=False)
class _Server:
    node: Node
    clock: MonotonicClock
    implementation: Any
    waiting: dict[Callable[[], None], None] = field(default_factory=dict)
    """Called when the node is lost: whoever waits for an answer of it learns that the connection is gone."""


class Wire:
    """Everything that travels between services. `failures` gets the errors that no service means to raise."""

    def __init__(self, loop: SeededLoop, weather: Weather, chance: random.Random) -> None:
        self._loop = loop
        self._weather = weather
        self._chance = chance
        self._servers: dict[str, list[_Server]] = {}
        self._turns: dict[str, int] = {}
        self.failures: list[str] = []
        self.on_message: Callable[[str, bytes], None] = lambda _edge, _message: None
        """Sees everything that is answered, refusals, too."""
        self.on_answer: Callable[[str, bytes], None] = lambda _edge, _answer: None
        """Sees what a call returns, also where its caller never does."""

    def serve(self, service: str, node: Node, clock: MonotonicClock, implementation: object) -> None:
        """`implementation` answers for `service` from `node`, beside others that do."""
        self._servers.setdefault(service, []).append(_Server(node, clock, implementation))

    def lost(self, node: Node) -> None:
        """The node has crashed: its connections are reset."""
        for servers in self._servers.values():
            for server in [each for each in servers if each.node is node]:
                servers.remove(server)
                for tell in tuple(server.waiting):
                    self._loop.later(self._latency_secs(), tell)

    def remote(self, port: type[Port], service: str, caller: str, clock: MonotonicClock) -> Port:
        """A caller of `service` that implements `port`; `caller` is the service that calls, without its number."""
        return cast(Port, _Remote(self, service, caller, clock, methods(port)))

    def _latency_secs(self) -> float:
        return LATENCY_SECS * self._chance.uniform(0.2, 3.0)

    def _way_secs(self, edge: str) -> float:
        """How long a message takes."""
        fault = self._weather.strikes(Kind.CALL_DELAYED, edge)
        more_secs = self._weather.chance(fault).uniform(0.0, DELAYED_AT_MOST_SECS) if fault else 0.0
        return self._latency_secs() + more_secs

    def _server_of(self, service: str) -> _Server | None:
        """Each in turn, as the channel balances."""
        servers = self._servers.get(service)
        if not servers:
            return None
        self._turns[service] = turn = self._turns.get(service, 0) + 1
        return servers[turn % len(servers)]

    # --- one request, one answer

    async def call(self, edge: str, service: str, method: Method, request: Any, clock: MonotonicClock) -> Any:
        """Raises as the gRPC client does. Who does not hold the account says so at once: the next one is asked."""
        return await of_the_holder(lambda: self._call(edge, service, method, request, clock))

    async def _call(self, edge: str, service: str, method: Method, request: Any, clock: MonotonicClock) -> Any:
        parent = current()
        left_secs = DEFAULT_DEADLINE_SECS if parent is None else parent.deadline_secs - clock.now_secs()
        left_secs = max(0.001, min(DEFAULT_DEADLINE_SECS, left_secs))
        answer: asyncio.Future[Any] = self._loop.create_future()
        serving: list[asyncio.Task[None]] = []
        copy = method.request.FromString(request.SerializeToString())

        def reset() -> None:
            if not answer.done():
                answer.set_exception(Retry(f"{method.path}: connection reset", after_secs=RETRY_SECS))

        def arrive(*, told: bool = True) -> None:
            server = self._server_of(service)
            if server is None:
                reset()
                return
            deadline_secs = server.clock.now_secs() + left_secs
            task = self._loop.start(
                server.node, self._answer(edge, server, method, copy, deadline_secs, answer if told else None, reset)
            )
            serving.append(task)

        if self._weather.strikes(Kind.CONNECTION_RESET, edge):
            self._loop.later(self._latency_secs(), reset)
        elif not self._weather.strikes(Kind.REQUEST_LOST, edge):
            self._loop.later(self._way_secs(edge), arrive)
        if self._weather.strikes(Kind.CALL_DOUBLED, edge):
            self._loop.later(self._way_secs(edge), lambda: arrive(told=False))
        try:
            async with asyncio.timeout(left_secs):
                return await answer
        except TimeoutError:
            raise Retry(f"{method.path}: deadline exceeded", after_secs=RETRY_SECS) from None
        finally:
            # The server learns that nobody waits any more.
            self._loop.later(self._latency_secs(), lambda: [task.cancel() for task in serving])

    async def _answer(
        self,
        edge: str,
        server: _Server,
        method: Method,
        request: Any,
        deadline_secs: float,
        answer: "asyncio.Future[Any] | None",
        reset: Callable[[], None],
    ) -> None:
        """Runs on the server's node."""
        enter(Call(caller=edge.partition(">")[0], deadline_secs=deadline_secs))
        server.waiting[reset] = None
        try:
            outcome = await self._outcome(server, method, request)
        finally:
            server.waiting.pop(reset, None)
        self._show(edge, outcome)
        if isinstance(outcome, bytes):
            self.on_answer(edge, outcome)
        if answer is None or self._weather.strikes(Kind.REPLY_LOST, edge):
            return

        def arrive() -> None:
            if answer.done():
                return
            if isinstance(outcome, HoldfastError):
                answer.set_exception(outcome)
            else:
                answer.set_result(method.response.FromString(outcome))

        self._loop.later(self._way_secs(edge), arrive)

    def _show(self, edge: str, found: object) -> None:
        if isinstance(found, HoldfastError):
            self.on_message(edge, told(found).encode())
        elif isinstance(found, bytes):
            self.on_message(edge, found)

    async def _outcome(self, server: _Server, method: Method, request: Any) -> bytes | HoldfastError:
        try:
            response = await getattr(server.implementation, method.name)(request)
        except HoldfastError as error:
            return _as_heard(error)
        except Exception as error:  # noqa: BLE001  # what no service means to raise fails the seed
            self.failures.append(f"{server.node.name} {method.path}: {error!r}")
            return Refused(Code.INTERNAL, "INTERNAL", type(error).__name__)
        return bytes(response.SerializeToString())

    # --- one request, many answers

    async def follow(self, edge: str, service: str, method: Method, request: Any) -> AsyncIterator[Any]:
        """Answers come in order, until the connection breaks with Retry."""
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        lost = Retry(f"{method.path}: connection reset", after_secs=RETRY_SECS)
        serving: list[asyncio.Task[None]] = []

        def reset() -> None:
            arrived.put_nowait(lost)

        def open_() -> None:
            server = self._server_of(service)
            if server is None or self._weather.strikes(Kind.CONNECTION_RESET, edge):
                reset()
                return
            # A process that is lost before it has begun to answer is lost all the same.
            server.waiting[reset] = None
            serving.append(self._loop.start(server.node, self._pump(edge, server, method, request, arrived, reset)))

        self._loop.later(self._latency_secs(), open_)
        try:
            while True:
                found = await arrived.get()
                if found is _OVER:
                    return
                if isinstance(found, HoldfastError):
                    raise found
                yield method.response.FromString(found)
        finally:
            self._loop.later(self._latency_secs(), lambda: [task.cancel() for task in serving])

    async def _pump(
        self,
        edge: str,
        server: _Server,
        method: Method,
        request: Any,
        arrived: "asyncio.Queue[Any]",
        reset: Callable[[], None],
    ) -> None:
        enter(Call(caller=edge.partition(">")[0], deadline_secs=float("inf")))
        earliest_secs = 0.0

        def send(found: object) -> None:
            nonlocal earliest_secs
            self._show(edge, found)
            earliest_secs = max(earliest_secs, self._loop.time() + self._way_secs(edge))
            self._loop.later(earliest_secs - self._loop.time(), lambda: arrived.put_nowait(found))

        try:
            async for response in getattr(server.implementation, method.name)(request):
                if self._weather.strikes(Kind.STREAM_BROKEN, edge):
                    send(Retry(f"{method.path}: connection reset", after_secs=RETRY_SECS))
                    return
                send(bytes(response.SerializeToString()))
            send(_OVER)
        except HoldfastError as error:
            send(_as_heard(error))
        finally:
            server.waiting.pop(reset, None)


def _as_heard(error: HoldfastError) -> HoldfastError:
    """What the other side makes of it: errors that only this side knows travel as refusals."""
    if isinstance(error, Refused | Retry | Malformed):
        return error
    code, (info, *_) = describe(error)
    assert isinstance(info, ErrorInfo)
    return Refused(code, info.reason, str(error))


class _Remote:
    """Has one attribute per method of its port."""

    def __init__(self, wire: Wire, service: str, caller: str, clock: MonotonicClock, found: tuple[Method, ...]) -> None:
        edge = f"{caller}>{service}"
        for method in found:
            setattr(self, method.name, _bound(wire, edge, service, method, clock))


def _bound(wire: Wire, edge: str, service: str, method: Method, clock: MonotonicClock) -> Callable[[Any], Any]:
    if method.server_streaming:
        return lambda request: wire.follow(edge, service, method, request)
    return lambda request: wire.call(edge, service, method, request, clock)
