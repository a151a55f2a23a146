"""Alpaca's trade-updates stream: binary frames that hold JSON."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from websockets.asyncio.client import ClientConnection

from holdfast_runtime.errors import Malformed
from holdfast_runtime.ports.venue import TradeUpdate, Unreadable
from holdfast_venue import parsing
from holdfast_venue.access import Credentials
from holdfast_venue.streams import Broken, RefusedCredentials, shown

LISTEN = json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}})


class TradeUpdatesDialect:
    """One connection. Every frame counts that tells of an order or cannot be read; control frames do not."""

    def __init__(self) -> None:
        self._count = 0

    async def open(self, socket: ClientConnection, credentials: Credentials) -> None:
        data = {"key_id": credentials.key, "secret_key": credentials.secret}
        await socket.send(json.dumps({"action": "authenticate", "data": data}))
        status = (await _control(socket, "authorization")).get("status")
        if status == "unauthorized":
            raise RefusedCredentials("the venue refuses the credentials")
        if status != "authorized":
            raise Broken(f"authentication answered {status!r}")
        await socket.send(LISTEN)
        streams = (await _control(socket, "listening")).get("streams") or []
        if "trade_updates" not in streams:
            raise Broken("the venue does not send trade updates")

    async def probe(self, socket: ClientConnection) -> None:
        # To listen once more changes nothing and is answered.
        await socket.send(LISTEN)

    def read(self, frame: str | bytes) -> Iterator[TradeUpdate | Unreadable]:
        try:
            message = _message(frame)
            stream = parsing.text(message, "stream")
            if stream in ("listening", "authorization"):
                self._check_control(stream, parsing.mapping(message.get("data"), "data"))
                return
            if stream != "trade_updates":
                raise Malformed(f"stream: {stream!r} is not known")
            update = parsing.trade_update(message.get("data"), count=self._count + 1)
        except Malformed as error:
            self._count += 1
            yield Unreadable(str(error), shown(frame), self._count)
            return
        self._count += 1
        yield update

    @staticmethod
    def _check_control(stream: str, data: parsing.Json) -> None:
        if stream == "authorization" and data.get("status") == "unauthorized":
            raise Broken("the venue withdrew the authorization")


async def _control(socket: ClientConnection, stream: str) -> dict[str, Any]:
    """The `data` of the next frame, which must be of the control stream asked for."""
    try:
        message = _message(await socket.recv())
        data = dict(parsing.mapping(message.get("data"), "data"))
    except Malformed as error:
        raise Broken(f"handshake: {error}") from error
    if message.get("stream") != stream:
        raise Broken(f"handshake: {message.get('stream')!r} came instead of {stream!r}")
    return data


def _message(frame: str | bytes) -> parsing.Json:
    try:
        return parsing.mapping(json.loads(frame, parse_float=Decimal), "frame")
    except ValueError as error:
        raise Malformed("the frame is no JSON") from error
