"""Two chains of five processes to measure against: raw asyncio TCP, and unary grpc.aio with a span per hop and side.

Run as a program this is one link of a chain: `floors.py tcp|grpc PORT NEXT_PORT` (0: the last link, which answers).
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
from measuring import Figures, percentiles
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from holdfast_cli.ports import free_ports
from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.telemetry.span_export import FileSpanExporter

LINKS = 5
PAYLOAD = b"x" * 200
HOST = "127.0.0.1"
METHOD = "/floor.Echo/Call"
IN_FLIGHT = 64
STARTUP_SECS = 20.0

Call = Callable[[], Awaitable[object]]


# --- one link


async def serve_tcp(port: int, next_port: int) -> None:
    """Hands each message of 200 bytes on over one connection, and the answers back in order."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not next_port:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    writer.write(await reader.readexactly(len(PAYLOAD)))
            return
        onward_reader, onward_writer = await asyncio.open_connection(HOST, next_port)
        ways = [
            asyncio.create_task(_copy(reader, onward_writer)),
            asyncio.create_task(_copy(onward_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()

    server = await asyncio.start_server(handle, HOST, port)
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            writer.write(await reader.readexactly(len(PAYLOAD)))


async def serve_grpc(port: int, next_port: int) -> None:
    """A server span and a client span a hop, with the context in the metadata, exported in batches to a file."""
    onward = _grpc_call(grpc.aio.insecure_channel(f"{HOST}:{next_port}")) if next_port else None

    async def handle(request: bytes, call: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        parent = propagate.extract(dict(call.invocation_metadata() or ()))
        token = context.attach(parent)
        attributes = {"rpc.system": "grpc", "rpc.service": "floor.Echo", "rpc.method": "Call", "net.peer.ip": HOST}
        try:
            with _tracer.start_as_current_span(METHOD, kind=trace.SpanKind.SERVER, attributes=attributes) as span:
                answer = request if onward is None else await onward(request)
                span.set_attribute("rpc.grpc.status_code", 0)
                return answer
        finally:
            context.detach(token)

    server = grpc.aio.server()
    handlers = {"Call": grpc.unary_unary_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor.Echo", handlers),))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await server.wait_for_termination()


_tracer: trace.Tracer = trace.NoOpTracer()


def record_spans(path: Path) -> None:
    """Spans of this process go to `path`, by the same exporter that the services use."""
    global _tracer
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(FileSpanExporter(BoundedFile(path, max_bytes=50_000_000))))
    _tracer = provider.get_tracer("floor")


def _grpc_call(channel: grpc.aio.Channel) -> Callable[[bytes], Awaitable[bytes]]:
    send = channel.unary_unary(METHOD)
    attributes = {"rpc.system": "grpc", "rpc.service": "floor.Echo", "rpc.method": "Call"}

    async def call(payload: bytes) -> bytes:
        with _tracer.start_as_current_span(METHOD, kind=trace.SpanKind.CLIENT, attributes=attributes) as span:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            answer: bytes = await send(payload, timeout=5.0, metadata=tuple(carrier.items()))
            span.set_attribute("rpc.grpc.status_code", 0)
            return answer

    return call


# --- the whole chain


class Chain:
    """Five links as processes."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.ports = free_ports(LINKS)
        self._processes = [
            subprocess.Popen([sys.executable, __file__, kind, str(port), str(after), str(folder / f"{kind}-{port}")])
            for port, after in zip(self.ports, [*self.ports[1:], 0], strict=True)
        ]

    async def until_up(self) -> None:
        """Until every link listens. Raises TimeoutError."""
        async with asyncio.timeout(STARTUP_SECS):
            # The last one first: a link connects onward as soon as somebody connects to it.
            for port in reversed(self.ports):
                while True:
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection(HOST, port)
                        writer.close()
                        break
                    await asyncio.sleep(0.05)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()


@contextlib.asynccontextmanager
async def _running(kind: str, folder: Path) -> AsyncIterator[Chain]:
    chain = Chain(kind, folder)
    try:
        await chain.until_up()
        yield chain
    finally:
        chain.stop()


async def measure_tcp(folder: Path, *, calls: int) -> Figures:
    """Round trips of 200 bytes through the chain of streams."""
    async with _running("tcp", folder) as chain:
        reader, writer = await asyncio.open_connection(HOST, chain.ports[0])

        async def call() -> None:
            writer.write(PAYLOAD)
            await reader.readexactly(len(PAYLOAD))

        latencies = await _one_in_flight(call, calls)
        # With 64 in flight on one ordered stream: a reader and a writer that stay 64 apart.
        room = asyncio.Semaphore(IN_FLIGHT)
        total = calls * 10

        async def write() -> None:
            for _ in range(total):
                await room.acquire()
                writer.write(PAYLOAD)

        began = time.perf_counter()
        writing = asyncio.create_task(write())
        for _ in range(total):
            await reader.readexactly(len(PAYLOAD))
            room.release()
        await writing
        rate = total / (time.perf_counter() - began)
        writer.close()
        return Figures(*percentiles(latencies), rate)


async def measure_grpc(folder: Path, *, calls: int) -> Figures:
    """The same through unary calls, traced."""
    async with _running("grpc", folder) as chain:
        record_spans(folder / "grpc-client")
        async with grpc.aio.insecure_channel(f"{HOST}:{chain.ports[0]}") as channel:
            send = _grpc_call(channel)

            async def call() -> None:
                await send(PAYLOAD)

            latencies = await _one_in_flight(call, calls)
            left = iter(range(calls * 2))

            async def worker() -> None:
                for _ in left:
                    await call()

            began = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
            rate = calls * 2 / (time.perf_counter() - began)
        return Figures(*percentiles(latencies), rate)


async def _one_in_flight(call: Call, calls: int) -> list[float]:
    """Milliseconds of each; the first ones only warm up."""
    for _ in range(calls // 5):
        await call()
    latencies = []
    for _ in range(calls):
        began = time.perf_counter()
        await call()
        latencies.append((time.perf_counter() - began) * 1000)
    return latencies


if __name__ == "__main__":
    kind, port, next_port, trace_file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    with contextlib.suppress(KeyboardInterrupt):
        if kind == "tcp":
            asyncio.run(serve_tcp(port, next_port))
        else:
            record_spans(trace_file)
            asyncio.run(serve_grpc(port, next_port))
