"""The gRPC client behind a port: deadlines that shrink along the chain, trace context, typed errors."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar, cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.propagate import inject

from holdfast_runtime.calls import current
from holdfast_runtime.errors import Code, HoldfastError, Malformed, Refused, Retry
from holdfast_runtime.identity import Identity
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.rpc.contracts import PLACES_ORDERS, Method, methods
from holdfast_runtime.telemetry import metrics

Port = TypeVar("Port")

DEFAULT_DEADLINE_SECS = 5.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


class Remotes:
    """The channels of one process, one per service, closed together."""

    def __init__(self, *, identity: Identity, clock: MonotonicClock) -> None:
        self._identity = identity
        self._clock = clock
        self._channels: list[grpc.aio.Channel] = []

    def remote(self, port: type[Port], service: str, address: str) -> Port:
        """A caller of `service` at `host:port` that implements `port`."""
        credentials = grpc.ssl_channel_credentials(
            self._identity.authority, self._identity.key, self._identity.certificate
        )
        found = methods(port)
        channel = grpc.aio.secure_channel(
            address,
            credentials,
            options=(
                *OPTIONS,
                ("grpc.ssl_target_name_override", service),
                ("grpc.service_config", _service_config(found)),
            ),
        )
        self._channels.append(channel)
        return cast(Port, _Remote(channel, found, self._clock))

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


class _Remote:
    """Has one attribute per method of its port."""

    def __init__(self, channel: grpc.aio.Channel, found: tuple[Method, ...], clock: MonotonicClock) -> None:
        for method in found:
            bound = self._streaming(channel, method) if method.server_streaming else self._unary(channel, method, clock)
            setattr(self, method.name, bound)

    def _unary(self, channel: grpc.aio.Channel, method: Method, clock: MonotonicClock) -> Callable[[Any], Any]:
        send = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)

        async def call(request: Any) -> Any:
            began_secs = clock.now_secs()
            code = "OK"
            try:
                return await send(request, timeout=_deadline_secs(clock), metadata=_metadata())
            except grpc.aio.AioRpcError as error:
                code = error.code().name
                raise typed(error, method.path) from error
            finally:
                metrics.RPC_CALLED.labels(method=method.path, code=code).inc()
                metrics.RPC_CALL_SECONDS.labels(method=method.path).observe(clock.now_secs() - began_secs)

        return call

    def _streaming(self, channel: grpc.aio.Channel, method: Method) -> Callable[[Any], Any]:
        kind = channel.stream_stream if method.client_streaming else channel.unary_stream
        send = kind(method.path, method.request.SerializeToString, method.response.FromString)

        async def call(request: Any) -> AsyncIterator[Any]:
            stream = send(request, metadata=_metadata())
            try:
                async for response in stream:
                    yield response
            except grpc.aio.AioRpcError as error:
                raise typed(error, method.path) from error
            finally:
                stream.cancel()

        return call


def _deadline_secs(clock: MonotonicClock) -> float:
    call = current()
    if call is None:
        return DEFAULT_DEADLINE_SECS
    return max(0.001, min(DEFAULT_DEADLINE_SECS, call.deadline_secs - clock.now_secs()))


def _metadata() -> tuple[tuple[str, str], ...]:
    carrier: dict[str, str] = {}
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
