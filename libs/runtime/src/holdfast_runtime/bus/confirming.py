"""Publishing with confirmation: one inbox and one timer for all messages of a connection.

The client's own `js.publish` makes a task, a timer and several futures for each message, which is most of the work of
a service that tells many facts. What is asked for and what is answered on the wire is the same.
"""

import asyncio
import json
from collections import deque

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

from holdfast_runtime.bus.link import REQUEST_TIMEOUT_SECS, NatsLink, heed_cancellation

NO_RESPONDERS = "503"

Position = asyncio.Future[int]


class Confirmations:
    """Messages on their way to their stream, by number, in the order in which they were sent."""

    def __init__(self, link: NatsLink) -> None:
        self._link = link
        self._client: Client | None = None
        self._inbox = ""
        self._count = 0
        self._waiting: dict[str, Position] = {}
        self._deadlines: deque[tuple[float, str]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._opening = asyncio.Lock()

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        """Returns the message's position in its stream. Raises what `js.publish` raises; TimeoutError after 1 s."""
        return await (await self.send(subject, payload, headers))

    async def send(self, subject: str, payload: bytes, headers: dict[str, str]) -> Position:
        """Hands the message over to the connection, and returns what its position will be known by."""
        client = self._link.client
        if client is not self._client:
            await self._open(client)
        self._count += 1
        number = str(self._count)
        confirmed: Position = asyncio.get_running_loop().create_future()
        self._waiting[number] = confirmed

        def forget(ended: Position) -> None:
            del self._waiting[number]
            if not ended.cancelled():
                ended.exception()

        confirmed.add_done_callback(forget)
        try:
            await client.publish(subject, payload, reply=self._inbox + number, headers=headers)
        except BaseException:
            confirmed.cancel()
            raise
        self._expect_until(asyncio.get_running_loop().time() + REQUEST_TIMEOUT_SECS, number)
        return confirmed

    async def _open(self, client: Client) -> None:
        async with self._opening:
            if client is not self._client:
                inbox = client.new_inbox() + "."
                await client.subscribe(inbox + "*", cb=self._take)
                self._inbox, self._client = inbox, client
        heed_cancellation()

    def _expect_until(self, due_secs: float, number: str) -> None:
        self._deadlines.append((due_secs, number))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due_secs, self._expire)

    def _expire(self) -> None:
        """Ends what has waited too long. All wait equally long: the first one in is the first one due."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._deadlines:
            due_secs, number = self._deadlines[0]
            if number in self._waiting and due_secs > loop.time():
                self._timer = loop.call_at(due_secs, self._expire)
                return
            self._deadlines.popleft()
            late = self._waiting.get(number)
            if late is not None and not late.done():
                late.set_exception(TimeoutError("the bus has not confirmed in time"))

    async def _take(self, answer: Msg) -> None:
        confirmed = self._waiting.get(answer.subject[len(self._inbox) :])
        if confirmed is None or confirmed.done():
            return
        if answer.headers and answer.headers.get(Header.STATUS) == NO_RESPONDERS:
            confirmed.set_exception(NoStreamResponseError())
            return
        try:
            told = json.loads(answer.data.decode())
            if "error" in told:
                APIError.from_error(told["error"])  # raises
            confirmed.set_result(int(told["seq"]))
        except APIError as error:
            confirmed.set_exception(error)
        except (ValueError, KeyError, TypeError):
            confirmed.set_exception(TimeoutError("the bus has confirmed nothing that can be read"))
