"""Faults of the two streams. A docstring is what the documentation says of a kind."""

from typing import Literal

from pydantic import Field

from holdfast_exchange.faults.base import Area, Fault, MarketSecs
from holdfast_exchange.faults.scope import Stream


class Frames(Fault):
    """What faults of one of the streams have in common."""

    area = Area.FRAME
    stream: Stream = Field(default=Stream.TRADE_UPDATES, description="trade_updates or market_data.")


class FrameDuplicated(Frames):
    """An update arrives more than once."""

    kind: Literal["frame_duplicated"]
    times: int = Field(default=1, ge=1, le=100, description="How often again.")


class FrameReordered(Frames):
    """An update arrives after the one that followed it."""

    kind: Literal["frame_reordered"]


class FrameDelayed(Frames):
    """An update arrives late."""

    kind: Literal["frame_delayed"]
    secs: MarketSecs = Field(default=60.0, description="Market seconds.")


class FrameDropped(Frames):
    """An update never arrives."""

    kind: Literal["frame_dropped"]


class FramesRepeated(Frames):
    """The stream sends old updates again."""

    kind: Literal["frames_repeated"]
    frames: int = Field(default=5, ge=1, le=1_000, description="How many of the last.")


class StreamClosed(Frames):
    """The stream closes, and the update that was due on it is lost."""

    kind: Literal["stream_closed"]


class StreamMute(Frames):
    """The stream stays open and says nothing, to questions neither."""

    kind: Literal["stream_mute"]
    secs: MarketSecs = Field(default=120.0, description="Market seconds.")
