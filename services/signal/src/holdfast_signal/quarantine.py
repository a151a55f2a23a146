"""Market data that is not believed goes to the dead letters, with its reason."""

import dataclasses
import hashlib
import json
from datetime import datetime

import structlog

from holdfast_runtime.bus import dead_letters
from holdfast_runtime.bus.envelope import header_text
from holdfast_runtime.ports.venue import Bar, Quote, TradingStatus, Unreadable
from holdfast_runtime.telemetry import metrics
from holdfast_signal.outbox import Letter, Outbox

SUBJECT = "deadletters.v1.feed"
MAX_RAW = 100_000

log = structlog.get_logger()


def quarantine(outbox: Outbox, item: Bar | Quote | TradingStatus | Unreadable, reason: str, at: datetime) -> None:
    """Keeps `item` for people to look at. The same item with the same reason is kept once."""
    code = reason.partition(":")[0]
    payload = json.dumps(dataclasses.asdict(item), default=str, sort_keys=True)[:MAX_RAW].encode()
    digest = hashlib.sha256(reason.encode() + payload).hexdigest()[:32]
    outbox.put(
        Letter(
            subject=SUBJECT,
            payload=payload,
            message_id=f"feed-{digest}",
            headers={
                dead_letters.STREAM: "feed",
                dead_letters.SUBJECT: type(item).__name__,
                dead_letters.KIND: "Malformed",
                dead_letters.REASON: header_text(reason),
            },
        )
    )
    metrics.QUARANTINED.labels("feed", code).inc()
    log.warning("feed.quarantined", reason=reason, market_time=at.isoformat())
