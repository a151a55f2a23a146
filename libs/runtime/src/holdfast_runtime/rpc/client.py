"""The gRPC client behind a port: deadlines that shrink along the chain, trace context, typed errors."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar, cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from opentelemetry.propagate import inject

from holdfast_runtime.calls import current
from holdfast_runtime.errors import NOT_HOLDER, Code, HoldfastError, Malformed, Refused, Retry
from holdfast_runtime.identity import Identity
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.revisions import METADATA, OWN
from holdfast_runtime.rpc.contracts import PLACES_ORDERS, Method, methods
from holdfast_runtime.telemetry import metrics

Port = TypeVar("Port")
Answer = TypeVar("Answer")

DEFAULT_DEADLINE_SECS = 5.0
HOLDER_PAUSES_SECS = (0.0, 0.05, 0.2)
"""Before each further try of one call, where who stands by says that it does not hold the account: the channel asks
each in turn, and with a standby every second call would come back. It has recorded nothing, so asking the next one is
safe. The first at once, as a rule the other one; the pauses are for a channel that reaches the standby alone as yet."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
RENEW_GRACE_SECS = 10.0
"""For calls under way when the certificate is exchanged: longer than any deadline."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A lost pod's successor is looked up at once, not half a minute after the last look.
    ("grpc.dns_min_time_between_resolutions_ms", 500),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


class Remotes:
    """The channels of one process, one per service, closed together."""

    def __init__(
        self, *, identity: Identity, clock: MonotonicClock, renew_grace_secs: float = RENEW_GRACE_SECS
    ) -> None:
        self._renew_grace_secs = renew_grace_secs
        self._identity = identity
        self._clock = clock
        self._lines: list[_Line] = []
        self._closing: set[asyncio.Task[None]] = set()

    def remote(self, port: type[Port], service: str, address: str) -> Port:
        """A caller of `service` at `host:port` that implements `port`."""
        found = methods(port)
        options = (
            *OPTIONS,
            ("grpc.ssl_target_name_override", service),
            ("grpc.service_config", _service_config(found)),
        )
        line = _Line(lambda: grpc.aio.secure_channel(address, self._credentials(), options=options))
        self._lines.append(line)
        return cast(Port, _Remote(line, found, self._clock))

    async def renew(self, identity: Identity) -> None:
        """Calls from now on go out as `identity`. Those under way end where they began; streams that outlive the grace
        end with Retry, to be opened again (SE-1)."""
        self._identity = identity
        for line in self._lines:
            closing = asyncio.create_task(line.renew().close(self._renew_grace_secs))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def answers(self, service: str, address: str, *, timeout_secs: float) -> bool:
        """Whether `service` says that it serves, asked over mutual TLS on a connection of its own, with no second try:
        the whole way there is examined. Raises Retry or Refused naming what is in the way."""
        path = "/grpc.health.v1.Health/Check"
        # A pool of its own: gRPC would share the connection, and the backoff, of the channels that are there already.
        options = (*OPTIONS, ("grpc.ssl_target_name_override", service), ("grpc.use_local_subchannel_pool", 1))
        async with grpc.aio.secure_channel(address, self._credentials(), options=options) as channel:
            check = channel.unary_unary(
                path, health_pb2.HealthCheckRequest.SerializeToString, health_pb2.HealthCheckResponse.FromString
            )
            try:
                answer = await check(health_pb2.HealthCheckRequest(), timeout=timeout_secs)
            except grpc.aio.AioRpcError as error:
                raise typed(error, path) from error
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _credentials(self) -> grpc.ChannelCredentials:
        identity = self._identity
        return grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)

    async def close(self) -> None:
        for line in self._lines:
            await line.channel.close()
        if self._closing:
            await asyncio.wait(self._closing)


class _Line:
    """The channel to one service, exchanged where the identity is."""

    def __init__(self, make: Callable[[], grpc.aio.Channel]) -> None:
        self._make = make
        self.channel = make()

    def renew(self) -> grpc.aio.Channel:
        """Returns the old one."""
        old, self.channel = self.channel, self._make()
        return old


class _Remote:
    """Has one attribute per method of its port."""

    def __init__(self, line: _Line, found: tuple[Method, ...], clock: MonotonicClock) -> None:
        for method in found:
            bound = self._streaming(line, method) if method.server_streaming else self._unary(line, method, clock)
            setattr(self, method.name, bound)

    def _unary(self, line: _Line, method: Method, clock: MonotonicClock) -> Callable[[Any], Any]:
        sender = _sender(line, method, "unary_unary")

        async def call(request: Any) -> Any:
            return await of_the_holder(lambda: once(request))

        async def once(request: Any) -> Any:
            began_secs = clock.now_secs()
            code = "OK"
            try:
                return await sender()(request, timeout=_deadline_secs(clock), metadata=_metadata())
            except grpc.aio.AioRpcError as error:
                code = error.code().name
                raise typed(error, method.path) from error
            finally:
                metrics.RPC_CALLED.labels(method=method.path, code=code).inc()
                metrics.RPC_CALL_SECONDS.labels(method=method.path).observe(clock.now_secs() - began_secs)

        return call

    def _streaming(self, line: _Line, method: Method) -> Callable[[Any], Any]:
        sender = _sender(line, method, "stream_stream" if method.client_streaming else "unary_stream")

        async def call(request: Any) -> AsyncIterator[Any]:
            stream = sender()(request, metadata=_metadata())
            try:
                async for response in stream:
                    yield response
            except grpc.aio.AioRpcError as error:
                raise typed(error, method.path) from error
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Not we were cancelled: the channel is closed under the stream.
                raise Retry(f"{method.path}: the connection was renewed", after_secs=0) from None
            finally:
                stream.cancel()

        return call


async def of_the_holder(once: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `once` answers, asked again while the answer is that somebody else holds the account, a bounded number of
    times (SQ-5)."""
    for pause_secs in HOLDER_PAUSES_SECS:
        try:
            return await once()
        except Refused as error:
            if error.reason != NOT_HOLDER:
                raise
        await asyncio.sleep(pause_secs)
    return await once()


def _sender(line: _Line, method: Method, kind: str) -> Callable[[], Callable[..., Any]]:
    """Gives what sends a call of `method` on the line's present channel."""
    channel: grpc.aio.Channel | None = None
    send: Callable[..., Any]

    def present() -> Callable[..., Any]:
        nonlocal channel, send
        if channel is not line.channel:
            channel = line.channel
            send = getattr(channel, kind)(method.path, method.request.SerializeToString, method.response.FromString)
        return send

    return present


def _deadline_secs(clock: MonotonicClock) -> float:
    call = current()
    if call is None:
        return DEFAULT_DEADLINE_SECS
    return max(0.001, min(DEFAULT_DEADLINE_SECS, call.deadline_secs - clock.now_secs()))


def _metadata() -> tuple[tuple[str, str], ...]:
    carrier = {METADATA: str(OWN)}
    inject(carrier)
    return tuple(carrier.items())


def _service_config(found: tuple[Method, ...]) -> str:
    names = []
    for method in found:
        if method.path not in PLACES_ORDERS and not method.server_streaming:
            service, _, name = method.path[1:].partition("/")
            names.append({"service": service, "method": name})
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps(
        {
            "loadBalancingConfig": [{"round_robin": {}}],
            "methodConfig": [{"name": names, "retryPolicy": policy}] if names else [],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        }
    )


def typed(error: grpc.aio.AioRpcError, path: str) -> HoldfastError:
    """The typed error that the other side raised, or what its loss means."""
    message = error.details() or error.code().name
    info, retry = _details(error)
    match error.code():
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
            after_secs = retry.retry_delay.ToMilliseconds() / 1000 if retry else 0.2
            return Retry(f"{path}: {message}", after_secs=after_secs)
        case grpc.StatusCode.INVALID_ARGUMENT if info is not None and info.reason == "MALFORMED":
            return Malformed(f"{path}: {message}")
        case code:
            known = Code[code.name] if code.name in Code.__members__ else Code.INTERNAL
            reason = info.reason if info else code.name
            return Refused(known, reason, f"{path}: {message}", dict(info.metadata) if info else {})


def _details(error: grpc.aio.AioRpcError) -> tuple[ErrorInfo | None, RetryInfo | None]:
    info: ErrorInfo | None = None
    retry: RetryInfo | None = None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in Status.FromString(value).details:
                # Unpack answers whether the detail was of that type.
                if detail.Unpack(candidate := ErrorInfo()):
                    info = candidate
                elif detail.Unpack(delay := RetryInfo()):
                    retry = delay
    return info, retry
