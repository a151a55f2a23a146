"""Makes a server look like the table of streams, and says where it does not."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError, ServerError, ServiceUnavailableError

from holdfast_runtime.bus.link import BUS_ERRORS, REQUEST_TIMEOUT_SECS, BusAway, NatsLink
from holdfast_runtime.bus.streams import BUCKETS, MINUTE_SECS, REPLICAS, STREAMS, BucketSpec, Stream
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.telemetry import metrics

ALARM_FRACTION = 0.8
"""Of a stream's maximum: beyond it an alarm, since a full stream refuses what comes."""

_COMPARED = (
    "subjects",
    "retention",
    "storage",
    "discard",
    "max_bytes",
    "max_age",
    "max_msg_size",
    "max_msgs_per_subject",
    "duplicate_window",
    "num_replicas",
)

log = structlog.get_logger()


class BusMismatch(AskPerson):
    """A stream on the server is not what the table declares, and may not or could not be changed."""


def stream_config(stream: Stream, *, replicas: int) -> StreamConfig:
    """What the server is asked for."""
    return StreamConfig(
        name=stream.name,
        description=f"Rebuilt from: {stream.rebuilt_from}",
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=stream.max_bytes,
        max_age=stream.max_age_secs,
        max_msg_size=stream.max_message_bytes,
        max_msgs_per_subject=stream.newest_per_subject or -1,
        duplicate_window=stream.dedupe_secs,
        num_replicas=replicas,
    )


def bucket_config(bucket: BucketSpec, *, replicas: int) -> StreamConfig:
    """The stream beneath a bucket, laid out as NATS's own key-value tools expect it."""
    return StreamConfig(
        name=bucket.stream,
        description=f"Rebuilt from: {bucket.rebuilt_from}",
        subjects=[f"{bucket.prefix}>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=bucket.max_bytes,
        max_age=0,
        max_msg_size=bucket.max_value_bytes,
        max_msgs_per_subject=1,
        duplicate_window=2 * MINUTE_SECS,
        num_replicas=replicas,
        allow_rollup_hdrs=True,
        allow_direct=True,
        deny_delete=True,
    )


def differences(wanted: StreamConfig, found: StreamConfig) -> Mapping[str, tuple[object, object]]:
    """Settings that differ: name → (declared, found)."""
    return {
        name: (getattr(wanted, name), getattr(found, name))
        for name in _COMPARED
        if _plain(getattr(wanted, name)) != _plain(getattr(found, name))
    }


def _plain(value: object) -> object:
    # The server may give subjects in another order.
    return sorted(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at the server has found."""

    looked_at: int
    troubles: tuple[str, ...]
    """Each names its stream or bucket."""
    skew: timedelta
    """By how much the server's clock is ahead of this machine's."""


class Provision:
    """Creates what is missing, changes what may be changed, verifies the rest. Safe to call again at any time."""

    def __init__(self, link: NatsLink, *, replicas: int, service: str | None = None) -> None:
        """`service`: makes its own alone, and waits for their owners to make the others; None makes all."""
        if replicas not in REPLICAS:
            raise ValueError(f"bus.replicas: {replicas}; a stream has {' or '.join(map(str, REPLICAS))}")
        self._link = link
        self._wanted = [stream_config(each, replicas=replicas) for each in STREAMS]
        self._wanted += [bucket_config(each, replicas=replicas) for each in BUCKETS]
        owners = {each.name: each.owner for each in STREAMS} | {each.stream: each.owner for each in BUCKETS}
        self._others = {name: owner for name, owner in owners.items() if service not in (None, owner)}
        self._one_at_a_time = asyncio.Lock()

    async def apply(self, *, update: bool, own_only: bool = False) -> list[str]:
        """Names of the streams that were created. Raises BusMismatch naming each stream that differs where `update` is
        false or the server refuses the change, once all others are done; BusAway where the bus does not answer, or
        naming the streams that are for others to make and are missing (IN-5)."""
        created: list[str] = []
        wrong: list[BusMismatch] = []
        missing: list[str] = []
        async with self._one_at_a_time:
            for wanted in self._wanted:
                if own_only and wanted.name in self._others:
                    continue
                try:
                    created += await self._apply_one(wanted, missing, update=update)
                except BusMismatch as error:
                    wrong.append(error)
        if created:
            log.info("bus.streams_created", streams=created)
        if wrong:
            raise BusMismatch(
                "; ".join(map(str, wrong)), steps=tuple(dict.fromkeys(step for each in wrong for step in each.steps))
            )
        if missing:
            raise BusAway("missing, until its owner makes it: " + ", ".join(missing))
        return created

    async def _apply_one(self, wanted: StreamConfig, missing: list[str], *, update: bool) -> list[str]:
        name = str(wanted.name)
        created: list[str] = []
        try:
            info = await self._info(name)
            if info is None and (owner := self._others.get(name)):
                missing.append(f"stream {name} ({owner}'s)")
                return []
            if info is None:
                info = await self._link.js.add_stream(wanted)
                created = [name]
            elif update and name not in self._others and differences(wanted, info.config):
                info = await self._link.js.update_stream(wanted)
        except (ServiceUnavailableError, ServerError) as error:
            if error.err_code == _NO_ROOM:
                raise _mismatch(name, f"the server has no room for {wanted.max_bytes} bytes: {error}") from error
            if error.err_code == _REFUSED_CONFIG:
                raise _mismatch(name, f"the server refuses it: {error.description}") from error
            raise BusAway(f"stream {name}: {error}") from error
        except APIError as error:
            raise _mismatch(name, f"the server refuses it: {error.description}") from error
        except BUS_ERRORS as error:
            raise BusAway(f"stream {name}: the bus did not answer: {error}") from error
        if found := differences(wanted, info.config):
            told = "; ".join(f"{field} is {is_now}, declared {declared}" for field, (declared, is_now) in found.items())
            raise _mismatch(name, told)
        return created

    async def _info(self, name: str) -> StreamInfo | None:
        try:
            return await self._link.js.stream_info(name)
        except NotFoundError:
            return None

    async def survey(self, *, now: Callable[[], datetime]) -> "Survey":
        """Looks at every declared stream and bucket and at the server's clock; changes nothing (IN-5).

        Raises the client's errors, BusAway."""
        troubles: list[str] = []
        skew = timedelta(0)
        for wanted in self._wanted:
            asked_at = now()
            answer = await self._link.client.request(f"$JS.API.STREAM.INFO.{wanted.name}", timeout=REQUEST_TIMEOUT_SECS)
            found = json.loads(answer.data)
            if stamp := found.get("ts"):
                skew = datetime.fromisoformat(stamp) - (asked_at + (now() - asked_at) / 2)
            if error := found.get("error"):
                troubles.append(f"{wanted.name}: {error.get('description', 'not found')}")
            elif (cluster := found.get("cluster")) and not cluster.get("leader"):
                # A server that has lost the others answers all the same, from what it knows.
                troubles.append(f"{wanted.name} has no leader: it takes no message")
            elif differing := differences(wanted, StreamInfo.from_response(found).config):
                troubles.append(f"{wanted.name} differs in {', '.join(differing)}")
        return Survey(len(self._wanted), tuple(troubles), skew)

    async def measure(self) -> None:
        """Shows how full each stream is, and warns before one refuses messages. Raises the client's errors, BusAway."""
        for wanted in self._wanted:
            info = await self._info(str(wanted.name))
            if info is None or not wanted.max_bytes:
                continue
            fraction = info.state.bytes / wanted.max_bytes
            metrics.BUS_STREAM_FILL.labels(wanted.name).set(fraction)
            if fraction > ALARM_FRACTION:
                log.warning("bus.stream_filling", stream=wanted.name, fraction=round(fraction, 3))


# The server calls both errors of its own, though only a person can mend them.
_NO_ROOM = 10047
_REFUSED_CONFIG = 10052


def _mismatch(name: str, told: str) -> BusMismatch:
    return BusMismatch(
        f"stream {name}: {told}",
        steps=(
            "run `holdfast bus apply`, which changes what the server lets it change",
            f"where it refuses: stop the stack, delete stream {name} on the server, start again",
        ),
    )
