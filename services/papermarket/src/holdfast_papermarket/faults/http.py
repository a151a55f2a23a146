"""Faults around the REST: what reaches the venue, and what its client gets to see of it."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from holdfast_exchange.commands import Command
from holdfast_exchange.faults import chance
from holdfast_exchange.faults.base import Area, Fault, When
from holdfast_exchange.faults.market import CancelFillRace, FillBeforeAck, PartialFill
from holdfast_exchange.faults.requests import (
    CancelRefused,
    ConnectionReset,
    ErrorBody,
    HtmlBody,
    HttpError,
    LateAccept,
    Latency,
    NoAnswer,
    OtherOrderBody,
    Shape,
    TruncatedBody,
    UnknownFields,
    UnknownStatus,
)
from holdfast_exchange.faults.scope import DATA_ENDPOINTS, Call, Endpoint
from holdfast_exchange.orders import Refusal
from holdfast_exchange.rules import UNPROCESSABLE
from holdfast_papermarket.adapters.http_server import TRANSPORT
from holdfast_papermarket.api.access import App, Keys, Message, RateLimit, Receive, Scope, Send
from holdfast_papermarket.api.order_body import read_order
from holdfast_papermarket.faults import bodies, outside
from holdfast_papermarket.faults.bodies import Body
from holdfast_papermarket.faults.desk import FaultDesk
from holdfast_papermarket.faults.requests import describe
from holdfast_papermarket.venue import PaperVenue

OWN = "/papermarket/"
KEY_HEADERS = (b"apca-api-key-id", b"apca-api-secret-key")
TRY_AGAIN_LATER = 1013
NOT_CANCELABLE = {"code": UNPROCESSABLE, "message": "order is not cancelable"}


@dataclass(slots=True)
class _Course:
    """What happens to one request."""

    delay_before_secs: float = 0.0
    delay_after_secs: float = 0.0
    ending: Fault | None = None

    @property
    def before(self) -> bool:
        """True where the request never reaches the venue."""
        fault = self.ending
        return isinstance(fault, LateAccept | CancelRefused) or getattr(fault, "when", None) is When.BEFORE_ACCEPT


class FaultyHttp:
    """`app` with the plan's faults around it."""

    def __init__(
        self,
        app: App,
        venue: PaperVenue,
        *,
        sleep: Callable[[float], Awaitable[None]],
        keys: Keys,
        limit: RateLimit,
    ) -> None:
        """`sleep` takes wall seconds. `keys` and `limit` are those that `app` is behind."""
        self._app = app
        self._venue = venue
        self._faults = venue.faults
        self._desk: FaultDesk = venue.faults.desk
        self._sleep = sleep
        self._keys = keys
        self._limit = limit
        self._wall_secs = self._desk.wall_secs = limit.wall_secs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._desk.idle or scope.get("path", "").startswith(OWN):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket" and self._desk.in_maintenance:
            await receive()
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._desk.in_maintenance and not outside.is_outside(scope["path"]):
            await _send(send, bodies.html(503, retry_after_secs=1))
            return
        content = await _content(receive)
        call = describe(
            self._venue.exchange,
            self._venue.market_now(),
            scope["method"],
            scope["path"],
            scope.get("query_string", b""),
            content,
        )
        course = self._course(call, scope, content)
        await self._wait(course.delay_before_secs)
        if course.before and course.ending is not None:
            await self._end(course.ending, None, call, scope, receive, send)
            return
        answered = await self._answered(scope, receive, content, call)
        await self._wait(course.delay_after_secs)
        if course.ending is not None:
            await self._end(course.ending, answered, call, scope, receive, send)
            return
        try:
            await _send(send, self._spoilt(answered, call))
        finally:
            self._faults.end_races()

    def _course(self, call: Call, scope: Scope, content: bytes) -> _Course:
        course = _Course()
        for fault in self._desk.plan.faults:
            if fault.area is not Area.REQUEST or fault.place not in (None, call.endpoint):
                continue
            effects = partial(self._late, fault, scope, content) if isinstance(fault, LateAccept) else _nothing
            if not self._desk.fires(fault, call, effects):
                continue
            if isinstance(fault, Latency):
                delay_secs = self._latency_ms(fault) / 1_000
                if fault.when is When.BEFORE_ACCEPT:
                    course.delay_before_secs += delay_secs
                else:
                    course.delay_after_secs += delay_secs
                continue
            course.ending = fault
            break
        return course

    def _latency_ms(self, fault: Latency) -> float:
        words = self._desk.draw(fault)
        match fault.shape:
            case Shape.FIXED:
                return fault.ms
            case Shape.RANDOM:
                return chance.between(fault.ms, fault.max_ms, *words)
            case Shape.HEAVY_TAIL:
                return chance.heavy_tail(fault.ms, fault.exponent, fault.max_ms, *words)

    async def _answered(self, scope: Scope, receive: Receive, content: bytes, call: Call) -> Body:
        """What the venue itself answers, with what happens to the order meanwhile."""
        if call.endpoint is Endpoint.ORDERS_CANCEL and (lost := self._race(call, scope)) is not None:
            return lost
        answered = await _run(self._app, scope, receive, content)
        if call.endpoint is Endpoint.ORDERS_SUBMIT and answered.status == 200:
            await self._accepted(call, str(json.loads(answered.content)["id"]))
        return answered

    def _race(self, call: Call, scope: Scope) -> Body | None:
        """The cancel is accepted, and the order fills all the same. None where nothing of that happens."""
        order_id = scope["path"].rstrip("/").rsplit("/", 1)[-1]
        shown: list[tuple[bytes, bytes]] = []

        def effects(fault: CancelFillRace) -> Sequence[Command] | None:
            headers = self._admitted(scope)
            shown.extend(headers or ())
            return None if headers is None else self._faults.lose_race(order_id, fault.fraction)

        for fault in self._desk.plan.faults:
            if isinstance(fault, CancelFillRace) and self._faults.may_fill(order_id):
                with suppress(Refusal):
                    if self._desk.fires(fault, call, partial(effects, fault)):
                        return Body(204, b"", shown)
        return None

    async def _accepted(self, call: Call, order_id: str) -> None:
        for fault in self._desk.plan.faults:
            if isinstance(fault, PartialFill):
                self._desk.fires(fault, call, partial(self._faults.cap_fill, order_id, fault.fraction, fault.secs))
            if (
                isinstance(fault, FillBeforeAck)
                and self._faults.may_fill(order_id)
                and self._desk.fires(fault, call, partial(self._faults.fill_now, order_id))
            ):
                await self._wait(fault.ack_ms / 1_000)

    def _late(self, fault: LateAccept, scope: Scope, content: bytes) -> Sequence[Command] | None:
        """The order on its way; nothing where it cannot be read. None where the venue would not let the client in."""
        if self._admitted(scope) is None:
            return None
        with suppress(Refusal, ValueError):
            return self._faults.submit_later(read_order(json.loads(content)), fault.late_secs)
        return ()

    def _admitted(self, scope: Scope) -> list[tuple[bytes, bytes]] | None:
        """The limit's headers where the keys are right and one more request may pass; it has passed then."""
        headers = dict(scope["headers"])
        key, secret = (headers.get(name, b"").decode("latin-1") for name in KEY_HEADERS)
        if not self._keys.match(key, secret):
            return None
        allowed, shown = self._limit.take(data=False)
        return shown if allowed else None

    async def _end(
        self,
        fault: Fault,
        answered: Body | None,
        call: Call,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Lets `fault` answer, or not. `answered`: the venue's own answer; None where it was not asked."""
        match fault:
            case HttpError():
                retry, now = fault.retry_after_secs, self._wall_secs()
                error = bodies.error(fault.status, fault.code, fault.message, retry_after_secs=retry, wall_secs=now)
                await _send(send, outside.in_its_words(error, call.endpoint))
            case ErrorBody():
                await _send(send, outside.in_its_words(bodies.error_in_200(fault.message), call.endpoint))
            case HtmlBody():
                await _send(send, bodies.html(fault.status))
            case CancelRefused():
                await _send(send, Body(422, json.dumps(NOT_CANCELABLE).encode(), [(b"content-type", bodies.JSON)]))
            case OtherOrderBody() if answered is not None:
                await _send(send, bodies.of_another_order(answered))
            case TruncatedBody() if answered is not None:
                await _send(send, answered, cut_at=int(len(answered.content) * fault.keep))
                await _hang_up(scope, receive, reset=False)
            case LateAccept() | NoAnswer():
                await _hold(receive, fault.hold_secs)
                await _hang_up(scope, receive)
            case ConnectionReset():
                await _hang_up(scope, receive)
            case _:
                raise AssertionError(f"nobody carries out {fault.kind}")

    def _spoilt(self, answered: Body, call: Call) -> Body:
        """The answer with what nobody expects in it."""
        if not answered.is_json or answered.status >= 300:
            return answered
        if call.endpoint in DATA_ENDPOINTS and not self._faults.seen.clear:
            answered = bodies.edited(answered, self._faults.seen.answer)
        for fault in self._desk.plan.faults:
            if isinstance(fault, UnknownStatus) and _has_order(answered) and self._desk.fires(fault, call):
                answered = bodies.edited(answered, partial(bodies.restate, status=fault.status))
            if isinstance(fault, UnknownFields) and self._desk.fires(fault, call):
                answered = bodies.edited(answered, bodies.add_strange_fields)
        return answered

    async def _wait(self, secs: float) -> None:
        if secs > 0:
            await self._sleep(secs)


def _nothing() -> Sequence[Command]:
    return ()


def _has_order(answered: Body) -> bool:
    try:
        return any(True for _ in bodies.orders_in(json.loads(answered.content)))
    except ValueError:
        return False


async def _content(receive: Receive) -> bytes:
    content: list[bytes] = []
    more = True
    while more:
        message = await receive()
        content.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(content)


async def _run(app: App, scope: Scope, receive: Receive, content: bytes) -> Body:
    """What `app` answers to a request whose body was read already."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    answered = Body(500, b"")

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = list(message.get("headers", []))
        else:
            answered.content += message.get("body", b"")

    await app(scope, replay, keep)
    return answered


async def _send(send: Send, body: Body, *, cut_at: int | None = None) -> None:
    """`cut_at`: bytes that arrive of a body that was announced whole."""
    headers = [(name, value) for name, value in body.headers if name.lower() != b"content-length"]
    if body.status != 204:
        headers.append((b"content-length", str(len(body.content)).encode()))
    await send({"type": "http.response.start", "status": body.status, "headers": headers})
    if cut_at is None:
        await send({"type": "http.response.body", "body": body.content})
    else:
        await send({"type": "http.response.body", "body": body.content[:cut_at], "more_body": True})


async def _hold(receive: Receive, secs: float) -> None:
    """Until the client has gone, at most `secs`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(secs):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _hang_up(scope: Scope, receive: Receive, *, reset: bool = True) -> None:
    """Ends the connection, so that nothing more is said on it. `reset`: what is on its way is lost."""
    transport = scope.get(TRANSPORT)
    if transport is None:
        return
    if reset:
        with suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    else:
        transport.close()
    await _hold(receive, 1.0)
