"""The outermost layer: whatever goes wrong inside, a request is answered in Alpaca's form, logged and counted."""

import json
from collections.abc import Callable

import structlog

from holdfast_papermarket.api.access import App, Message, Receive, Scope, Send
from holdfast_papermarket.api.answers import INTERNAL

log = structlog.get_logger()


class Unbroken:
    """`app`, with every exception of a request logged and told to `count`, and answered where nothing was said yet."""

    def __init__(self, app: App, count: Callable[[], None]) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = ended = False

        async def watched(message: Message) -> None:
            nonlocal begun, ended
            begun = True
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            self._count()
            log.exception("request.failed", method=scope["method"], path=scope["path"])
            if not begun:
                await _answer(send)
            elif not ended:
                # The server cuts the connection: half an answer must not look like a whole one.
                raise


async def _answer(send: Send) -> None:
    content = json.dumps(INTERNAL, separators=(",", ":")).encode()
    length = (b"content-length", str(len(content)).encode())
    kind = (b"content-type", b"application/json; charset=UTF-8")
    await send({"type": "http.response.start", "status": 500, "headers": [kind, length]})
    await send({"type": "http.response.body", "body": content})
