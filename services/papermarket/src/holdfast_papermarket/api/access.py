"""Who may ask, and how often: Alpaca's key headers and its limit of requests, around the whole application."""

import hmac
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUESTS_PER_MINUTE = 200
WINDOW_SECS = 60.0
GUARDED = ("/v1/", "/v1beta", "/v2/", "/v3/")
MARKET_DATA = ("/v1/", "/v1beta", "/v2/stocks/")
PUBLIC = "/v1beta3/crypto/"
"""Needs no keys; wrong ones are refused all the same."""
NOT_AUTHORIZED = {"message": "unauthorized."}
"""Alpaca's answer to wrong and to missing keys: it has no code."""
TOO_MANY = {"code": 42910000, "message": "rate limit exceeded"}
TOO_MANY_FOR_DATA = {"message": "too many requests."}


@dataclass(frozen=True, slots=True)
class Keys:
    """The account's credentials."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    def match(self, key: object, secret: object) -> bool:
        """Compared in constant time."""
        right_key = hmac.compare_digest(str(key).encode(), self.key.encode())
        return hmac.compare_digest(str(secret).encode(), self.secret.encode()) and right_key


class _Window:
    """The requests of one API in the last minute."""

    def __init__(self) -> None:
        self.taken: deque[float] = deque(maxlen=REQUESTS_PER_MINUTE)


class RateLimit:
    """At most `REQUESTS_PER_MINUTE` in any minute of market time, of the Trading API and of the Market Data API each.

    In lock-step there is no limit.
    """

    def __init__(self, speed: float, now_secs: Callable[[], float], wall_secs: Callable[[], float]) -> None:
        """`now_secs` is monotonic; `wall_secs`, the Unix time, is only shown in X-RateLimit-Reset."""
        self._window_secs = WINDOW_SECS / max(1.0, speed)
        self._limited = speed > 0
        self._now_secs = now_secs
        self.wall_secs = wall_secs
        self._trading, self._data = _Window(), _Window()

    def take(self, *, data: bool) -> tuple[bool, list[tuple[bytes, bytes]]]:
        """Whether one more request may pass, and the headers that say so."""
        taken = (self._data if data else self._trading).taken
        now = self._now_secs()
        while taken and taken[0] <= now - self._window_secs:
            taken.popleft()
        allowed = len(taken) < REQUESTS_PER_MINUTE or not self._limited
        if allowed and self._limited:
            taken.append(now)
        left_secs = taken[0] + self._window_secs - now if taken else 0.0
        headers = {
            "X-RateLimit-Limit": REQUESTS_PER_MINUTE,
            "X-RateLimit-Remaining": REQUESTS_PER_MINUTE - len(taken),
            "X-RateLimit-Reset": int(self.wall_secs() + left_secs + 1),
        }
        if not allowed:
            headers["Retry-After"] = int(left_secs + 1)
        return allowed, [(name.lower().encode(), str(value).encode()) for name, value in headers.items()]


def guarded(app: App, keys: Keys, limit: RateLimit) -> App:
    """`app` behind key check and rate limit, for everything of Alpaca's that is not a WebSocket."""

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        key = headers.get(b"apca-api-key-id", b"").decode("latin-1")
        keyless = b"apca-api-key-id" not in headers and scope["path"].startswith(PUBLIC)
        if not keyless and not keys.match(key, headers.get(b"apca-api-secret-key", b"").decode("latin-1")):
            await _answer(send, 401, NOT_AUTHORIZED, [])
            return
        data = scope["path"].startswith(MARKET_DATA)
        allowed, shown = limit.take(data=data)
        if not allowed:
            await _answer(send, 429, TOO_MANY_FOR_DATA if data else TOO_MANY, shown)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *shown]
            await send(message)

        await app(scope, receive, send_with_limits)

    return ask


async def _answer(send: Send, status: int, body: Mapping[str, object], headers: list[tuple[bytes, bytes]]) -> None:
    content = json.dumps(body).encode()
    length = (b"content-length", str(len(content)).encode())
    kind = (b"content-type", b"application/json; charset=UTF-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *headers]})
    await send({"type": "http.response.body", "body": content})
