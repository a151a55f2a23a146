"""Faults of one stream: what becomes of each item on its way to the connections."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from holdfast_exchange.faults.base import Area
from holdfast_exchange.faults.frames import (
    FrameDelayed,
    FrameDropped,
    FrameDuplicated,
    FrameReordered,
    FramesRepeated,
    StreamClosed,
    StreamMute,
)
from holdfast_exchange.faults.scope import Call, Stream
from holdfast_papermarket.faults.desk import FaultDesk
from holdfast_papermarket.hubs import Sending

Item = TypeVar("Item")
KEPT_FRAMES = 1_000


class FrameFaults(Generic[Item]):
    """Between the venue and the connections of one stream: implements hubs.Way."""

    def __init__(
        self,
        stream: Stream,
        desk: FaultDesk,
        describe: Callable[[Item], Call],
        now: Callable[[], datetime],
    ) -> None:
        self._stream = stream
        self._desk = desk
        self._describe = describe
        self._now = now
        self._overtaken: list[Item] = []
        self._late: list[tuple[datetime, Item]] = []
        self._sent: deque[Item] = deque(maxlen=KEPT_FRAMES)

    def on_the_way(self, items: list[Item]) -> Sending[Item]:
        """What becomes of `items`."""
        sending: Sending[Item] = Sending()
        for item in items:
            if sending.closes or sending.mute_until is not None:
                # Nobody hears of the rest.
                break
            waiting, self._overtaken = self._overtaken, []
            self._one(item, sending)
            sending.items += waiting
        self._sent.extend(sending.items)
        return sending

    def due(self, now: datetime) -> list[Item]:
        """What was held back and has its time now; what waited for another to overtake it waits no longer."""
        found = [item for at, item in self._late if at <= now] + self._overtaken
        self._late = [(at, item) for at, item in self._late if at > now]
        self._overtaken = []
        return found

    def _one(self, item: Item, sending: Sending[Item]) -> None:
        copies, old = [item], []
        for fault in self._desk.firing(Area.FRAME, self._describe(item), stream=self._stream):
            match fault:
                case FrameDropped():
                    copies = []
                case FrameDuplicated():
                    copies += [item] * fault.times
                case FrameDelayed():
                    self._late.append((self._now() + timedelta(seconds=fault.secs), item))
                    copies = []
                case FrameReordered():
                    self._overtaken.append(item)
                    copies = []
                case FramesRepeated():
                    old = list(self._sent)[-fault.frames :]
                case StreamClosed():
                    sending.closes, copies = True, []
                case StreamMute():
                    sending.mute_until, copies = self._now() + timedelta(seconds=fault.secs), []
        sending.items += [*copies, *old]
