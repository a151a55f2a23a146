"""The gRPC server: tracing, deadline, authentication, error mapping and logging around a service's own methods."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2_grpc
from opentelemetry import context as trace_context
from opentelemetry.propagate import extract

from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.calls import Call, enter
from holdfast_runtime.errors import AskBroker, AskPerson, Code, HoldfastError, Malformed, Refused, Retry
from holdfast_runtime.health import Health, HealthServicer
from holdfast_runtime.identity import Identity, peer_name
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.revisions import METADATA, Revisions
from holdfast_runtime.rpc.contracts import Method, methods
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.telemetry.redaction import redact_text

ERROR_DOMAIN = "holdfast"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_CONCURRENT_CALLS = 512
MAX_CONNECTION_AGE_MS = 600_000
NO_IDENTITY, CALLER_NOT_ALLOWED = "NO_IDENTITY", "CALLER_NOT_ALLOWED"
metrics.at_zero(metrics.RPC_DENIED, (NO_IDENTITY, CALLER_NOT_ALLOWED))

log = structlog.get_logger()

# The stubs are generic, the classes themselves are not.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class RpcServer:
    """Serves ports over mutual TLS. Every call has a caller, a deadline and a coded error."""

    def __init__(self, *, identity: Identity, clock: MonotonicClock, activity: ActivityTracker) -> None:
        self._clock = clock
        self._activity = activity
        self._identity = identity
        self._pending: grpc.ServerCertificateConfiguration | None = None
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
            options=(
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
                # Clients keep streams alive every 20 s; by default a server calls that too many pings and hangs up.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.so_reuseport", 0),
            ),
        )

    def add(self, port: type, implementation: object, allow: Mapping[str, frozenset[str]]) -> None:
        """Binds every method of `port` to the method of that name. `allow`: callers by method; absent: any service."""
        by_service: dict[str, dict[str, Handler]] = {}
        for method in methods(port):
            service, _, name = method.path[1:].partition("/")
            handler = self._handler(method, getattr(implementation, method.name), allow.get(method.name))
            by_service.setdefault(service, {})[name] = handler
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(service, found) for service, found in by_service.items())
        )

    def answer_health(self, health: Health) -> None:
        """The health of the whole on this door too, to whoever has a certificate: so a caller's own way here can be
        examined (IN-8). No part of the lock-step's activity."""
        health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(health), self._server)

    async def start(self, address: str) -> int:
        """Listens on `host:port` (0 takes a free one) and returns the port."""
        credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(self._identity),
            self._exchanged,  # type: ignore[arg-type]  # gRPC documents None: as before
            require_client_authentication=True,
        )
        bound = self._server.add_secure_port(address, credentials)
        await self._server.start()
        return bound

    async def renew(self, identity: Identity) -> None:
        """Connections from now on are answered as `identity`; those that stand go on (SE-1)."""
        self._identity = identity
        self._pending = _configuration(identity)

    def _exchanged(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC at each handshake, on a thread of its own: None means as before."""
        pending, self._pending = self._pending, None
        return pending

    async def stop(self, grace_secs: float) -> None:
        """Refuses new calls and gives the running ones `grace_secs`."""
        await self._server.stop(grace_secs)

    def _handler(self, method: Method, target: Callable[[Any], Any], allowed: frozenset[str] | None) -> Handler:
        async def unary(request: Any, context: Context) -> Any:
            with self._activity.busy():
                return await self._guarded(method, context, allowed, lambda: target(request))

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                self._admit(method, context, allowed, stream=True)
                async for response in target(request):
                    yield response
            except HoldfastError as error:
                await self._abort(method, context, error)

        serializer = method.response.SerializeToString
        deserializer = method.request.FromString
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, deserializer, serializer)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, deserializer, serializer)
        return grpc.unary_unary_rpc_method_handler(unary, deserializer, serializer)

    async def _guarded(
        self,
        method: Method,
        context: Context,
        allowed: frozenset[str] | None,
        call: Callable[[], Awaitable[Any]],
    ) -> Any:
        started_secs = self._clock.now_secs()
        token = trace_context.attach(extract(dict(context.invocation_metadata() or ())))
        try:
            self._admit(method, context, allowed, stream=False)
            response = await call()
        except HoldfastError as error:
            return await self._abort(method, context, error)
        except Exception as error:
            log.exception("rpc.failed", method=method.path)
            return await self._abort(method, context, Refused(Code.INTERNAL, "INTERNAL", type(error).__name__))
        finally:
            trace_context.detach(token)
        metrics.RPC_SERVED.labels(method=method.path, code="OK").inc()
        metrics.RPC_SECONDS.labels(method=method.path).observe(self._clock.now_secs() - started_secs)
        return response

    def _admit(self, method: Method, context: Context, allowed: frozenset[str] | None, *, stream: bool) -> None:
        caller = peer_name(context.auth_context())
        if caller is None:
            metrics.RPC_DENIED.labels(reason=NO_IDENTITY).inc()
            raise Refused(Code.UNAUTHENTICATED, NO_IDENTITY, "the caller's certificate names no service")
        if allowed is not None and caller not in allowed:
            log.warning("rpc.denied", method=method.path, caller=caller)
            metrics.RPC_DENIED.labels(reason=CALLER_NOT_ALLOWED).inc()
            raise Refused(
                Code.PERMISSION_DENIED,
                CALLER_NOT_ALLOWED,
                f"{caller} may not call {method.path}; allowed: {', '.join(sorted(allowed))}",
                {"caller": caller},
            )
        remaining_secs = context.time_remaining()
        if remaining_secs is None and not stream:
            raise Refused(Code.INVALID_ARGUMENT, "NO_DEADLINE", f"{method.path} refuses a call without a deadline")
        told = next((value for key, value in context.invocation_metadata() or () if key == METADATA), "")
        enter(
            Call(
                caller=caller,
                deadline_secs=self._clock.now_secs() + (remaining_secs or float("inf")),
                revisions=Revisions.read(str(told)),
            )
        )

    async def _abort(self, method: Method, context: Context, error: HoldfastError) -> None:
        code, detail = describe(error)
        message = told(error)
        metrics.RPC_SERVED.labels(method=method.path, code=code.name).inc()
        status = Status(code=code.value, message=message)
        for part in detail:
            packed = PackedAny()
            packed.Pack(part)
            status.details.append(packed)
        await context.abort(STATUS_CODES[code], message, (("grpc-status-details-bin", status.SerializeToString()),))


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key, identity.certificate)], root_certificates=identity.authority
    )


STATUS_CODES: dict[Code, grpc.StatusCode] = {code: grpc.StatusCode[code.name] for code in Code}


def told(error: HoldfastError) -> str:
    """What the caller is told in words. A venue may show a credential in its answer: it does not travel on (SE-2)."""
    return redact_text(str(error))


def describe(error: HoldfastError) -> tuple[Code, list[ErrorInfo | RetryInfo]]:
    """The canonical code of a typed error, and its details for the wire."""
    match error:
        case Refused():
            info = ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=error.metadata)
            return error.code, [info]
        case Retry():
            delay = Duration()
            delay.FromMilliseconds(int(error.after_secs * 1000))
            return Code.UNAVAILABLE, [
                ErrorInfo(reason="RETRY", domain=ERROR_DOMAIN),
                RetryInfo(retry_delay=delay),
            ]
        case Malformed():
            return Code.INVALID_ARGUMENT, [ErrorInfo(reason="MALFORMED", domain=ERROR_DOMAIN)]
        case AskBroker() | AskPerson():
            return Code.FAILED_PRECONDITION, [ErrorInfo(reason=type(error).__name__, domain=ERROR_DOMAIN)]
        case _:
            return Code.FAILED_PRECONDITION, [ErrorInfo(reason="GIVE_UP", domain=ERROR_DOMAIN)]
