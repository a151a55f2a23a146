"""What becomes of a message after its handler: one rule for every bus (PR-1, CQ-1).

| the handler | the message |
| --- | --- |
| returned | acknowledged |
| raised Retry | given again after its delay, until `max_deliveries` are used up: then dead-lettered |
| raised Malformed or another GiveUp | dead-lettered with the reason |
| raised anything else | recorded, given again with a growing delay; dead-lettered after `max_deliveries` |
| never returned (the process died) `max_deliveries` times | dead-lettered without another try |
"""

from dataclasses import dataclass

import structlog

from holdfast_runtime.bus.envelope import parent_of
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.bus import Consumer, Message, MessageHandler
from holdfast_runtime.telemetry import metrics

ACK_WAIT_SECS = 3.0
"""What nobody speaks of for so long is given again."""
FIRST_DELAY_SECS = 0.25
MAX_DELAY_SECS = 10.0

EXHAUSTED = "Exhausted"
"""Kind of a dead letter whose deliveries were used up."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Done:
    """Acknowledge."""


@dataclass(frozen=True, slots=True)
class Again:
    """Give it again after `after_secs`."""

    after_secs: float
    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Put it aside. `kind` is the error's class, or EXHAUSTED; `reason` is for people."""

    kind: str
    reason: str


Outcome = Done | Again | Dead
DONE = Done()


def delay_secs(deliveries: int) -> float:
    """Delay after the `deliveries`-th unexpected failure: doubles from 0.25 s to 10 s."""
    return float(min(FIRST_DELAY_SECS * 2 ** min(deliveries - 1, 16), MAX_DELAY_SECS))


def outcome_of(error: Exception, message: Message, consumer: Consumer) -> Outcome:
    """What a failed handler means for its message."""
    if isinstance(error, GiveUp):
        return Dead(type(error).__name__, str(error) or type(error).__name__)
    reason = f"{type(error).__name__}: {error}"
    if message.deliveries >= consumer.max_deliveries:
        return Dead(EXHAUSTED, f"gave up after {message.deliveries} deliveries; the last ended in {reason}")
    if isinstance(error, Retry):
        return Again(max(error.after_secs, 0.0), reason)
    return Again(delay_secs(message.deliveries), reason)


async def attempt(handler: MessageHandler, message: Message, consumer: Consumer) -> Outcome:
    """Gives the message to its handler once, under the message's trace, and says what becomes of it."""
    if message.deliveries > 1:
        metrics.BUS_REDELIVERED.labels(consumer.stream, consumer.name).inc()
    if message.deliveries > consumer.max_deliveries:
        return Dead(EXHAUSTED, f"gave up after {message.deliveries - 1} deliveries that the handler never finished")
    with parent_of(message.headers):
        try:
            await handler(message)
        except Exception as error:  # noqa: BLE001  # a supervised loop: whatever a handler raises is recorded, and retried
            outcome = outcome_of(error, message, consumer)
            _record(error, outcome, message, consumer)
            return outcome
    metrics.BUS_CONSUMED.labels(consumer.stream, consumer.name).inc()
    return DONE


def _record(error: Exception, outcome: Outcome, message: Message, consumer: Consumer) -> None:
    known = isinstance(error, Retry | GiveUp)
    entry = {
        "stream": consumer.stream,
        "consumer": consumer.name,
        "subject": message.subject,
        "message_id": message.message_id,
        "sequence": message.sequence,
        "deliveries": message.deliveries,
        "error": str(error),
        "kind": type(error).__name__,
    }
    if isinstance(outcome, Dead):
        log.error("bus.dead_letter", **entry, exc_info=None if known else error)
        metrics.BUS_DEAD_LETTERS.labels(consumer.stream, consumer.name, outcome.kind).inc()
    elif known:
        log.info("bus.redeliver", **entry)
    else:
        metrics.BUS_HANDLER_FAILURES.labels(consumer.stream, consumer.name, type(error).__name__).inc()
        log.error("bus.handler_failed", **entry, exc_info=error)
