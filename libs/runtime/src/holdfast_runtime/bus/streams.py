"""The one table of all streams and buckets. `holdfast bus apply` makes a server look like it.

Every stream refuses new messages when it is full (discard new), so nothing unread is ever dropped, and none grows
without bound. Nothing lives here alone: each row says where it can be had again.
"""

from dataclasses import dataclass
from functools import lru_cache

from holdfast_runtime.errors import GiveUp

MINUTE_SECS = 60.0
HOUR_SECS = 3_600.0
DAY_SECS = 86_400.0
KIB = 1024
MIB = 1024 * KIB

REPLICAS = (1, 3)
"""What a stream may have: one server, or a majority that survives the loss of one."""

CYCLES = "CYCLES"
MARKET = "MARKET"
FACTS = "FACTS"
DEADLETTERS = "DEADLETTERS"
ALERTS = "ALERTS"
FAILUREPOINTS = "FAILUREPOINTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream."""

    name: str
    subjects: tuple[str, ...]
    max_bytes: int
    max_age_secs: float
    dedupe_secs: float
    """A message id seen again within so long is stored once only."""
    owner: str
    """The service that makes it, and makes it again after a loss; nobody else may."""
    rebuilt_from: str
    """Where its content can be had again after a loss."""
    newest_per_subject: int | None = None
    """Keeps no more than so many of each subject: for data of which only the newest matter."""
    max_message_bytes: int = 960 * KIB
    """Headers included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSpec:
    """One key-value bucket; the newest value of each key is kept."""

    name: str
    max_bytes: int
    max_value_bytes: int
    owner: str
    """As of a stream."""
    rebuilt_from: str

    @property
    def stream(self) -> str:
        """Name of the stream beneath."""
        return f"KV_{self.name}"

    @property
    def prefix(self) -> str:
        """What stands before a key in its subject."""
        return f"$KV.{self.name}."


STREAMS: tuple[Stream, ...] = (
    Stream(
        name=CYCLES,
        subjects=("cycles.v1.>",),
        max_bytes=128 * MIB,
        max_age_secs=7 * DAY_SECS,
        # An undecided cycle is published again while it is valid; later duplicates are decided once by the ledger.
        dedupe_secs=HOUR_SECS,
        owner="signal",
        rebuilt_from="signal publishes undecided cycles again",
    ),
    Stream(
        name=MARKET,
        subjects=("market.v1.>",),
        max_bytes=512 * MIB,
        max_age_secs=DAY_SECS,
        dedupe_secs=2 * MINUTE_SECS,
        owner="signal",
        rebuilt_from="the venue's history",
        newest_per_subject=20_000,
    ),
    Stream(
        name=FACTS,
        subjects=("facts.v1.>",),
        max_bytes=512 * MIB,
        max_age_secs=7 * DAY_SECS,
        dedupe_secs=10 * MINUTE_SECS,
        owner="execution",
        rebuilt_from="the ledger's events",
    ),
    Stream(
        name=DEADLETTERS,
        subjects=("deadletters.v1.>",),
        max_bytes=64 * MIB,
        max_age_secs=30 * DAY_SECS,
        dedupe_secs=10 * MINUTE_SECS,
        owner="execution",
        rebuilt_from="the message it was made of, which stays in its own stream for as long as that keeps it",
        # A dead letter holds the whole original and its reason beside it: room for both below the server's own limit.
        max_message_bytes=MIB,
    ),
    Stream(
        name=ALERTS,
        subjects=("alerts.v1.>",),
        max_bytes=32 * MIB,
        max_age_secs=7 * DAY_SECS,
        dedupe_secs=2 * MINUTE_SECS,
        owner="execution",
        rebuilt_from="the ledger's events and the sentinels' next report",
    ),
    Stream(
        name=FAILUREPOINTS,
        subjects=("failurepoints.v1.>",),
        max_bytes=32 * MIB,
        max_age_secs=7 * DAY_SECS,
        dedupe_secs=2 * MINUTE_SECS,
        owner="admin",
        rebuilt_from="the sentinels' next report",
    ),
)

BUCKETS: tuple[BucketSpec, ...] = (
    BucketSpec(
        name="weights",
        max_bytes=16 * MIB,
        max_value_bytes=256 * KIB,
        owner="scoring",
        rebuilt_from="decisions and fills of the ledger",
    ),
    BucketSpec(
        name="failurepoints",
        max_bytes=16 * MIB,
        max_value_bytes=64 * KIB,
        owner="admin",
        rebuilt_from="the sentinels' next report",
    ),
    BucketSpec(
        name="doctor",
        max_bytes=8 * MIB,
        max_value_bytes=64 * KIB,
        owner="admin",
        rebuilt_from="the next examination of each process",
    ),
    BucketSpec(name="caches", max_bytes=32 * MIB, max_value_bytes=256 * KIB, owner="scoring", rebuilt_from="its owner"),
)


class UnknownSubject(GiveUp):
    """A subject, stream or bucket that the table does not hold."""


def matches(pattern: str, subject: str) -> bool:
    """True where `subject` falls under `pattern`: `*` stands for one token, a last `>` for one or more."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def stream_named(name: str) -> Stream:
    """The row of a stream. Raises UnknownSubject."""
    for stream in STREAMS:
        if stream.name == name:
            return stream
    raise UnknownSubject(f"no stream {name} is declared; there are {', '.join(each.name for each in STREAMS)}")


@lru_cache(maxsize=4096)
def stream_of(subject: str) -> Stream:
    """The row of the stream that stores `subject`. Raises UnknownSubject."""
    for stream in STREAMS:
        if any(matches(pattern, subject) for pattern in stream.subjects):
            return stream
    raise UnknownSubject(f"no declared stream stores subject {subject!r}")


def bucket_named(name: str) -> BucketSpec:
    """The row of a bucket. Raises UnknownSubject."""
    for bucket in BUCKETS:
        if bucket.name == name:
            return bucket
    raise UnknownSubject(f"no bucket {name} is declared; there are {', '.join(each.name for each in BUCKETS)}")
