"""Pure rules of the bus: the table of streams, what becomes of a message, what a dead letter keeps."""

from collections.abc import Mapping

import pytest

from holdfast_runtime.bus.dead_letters import DeadLetter, dead_letter, from_message
from holdfast_runtime.bus.envelope import MESSAGE_ID, header_text, incoming, outgoing
from holdfast_runtime.bus.settlement import DONE, EXHAUSTED, MAX_DELAY_SECS, Again, Dead, attempt, delay_secs
from holdfast_runtime.bus.streams import (
    BUCKETS,
    STREAMS,
    UnknownSubject,
    bucket_named,
    matches,
    stream_named,
    stream_of,
)
from holdfast_runtime.errors import AskBroker, Code, GiveUp, Malformed, Refused, Retry
from holdfast_runtime.ports.bus import Consumer, Message

CONSUMER = Consumer(stream="CYCLES", name="scoring", subjects=("cycles.v1.>",), max_deliveries=3)
LOCAL_SERVER_BYTES = 4 * 1024**3


def a_message(deliveries: int = 1, headers: Mapping[str, str] | None = None) -> Message:
    return Message(
        subject="cycles.v1.sma",
        payload=b"\x00payload",
        message_id="cycle-1",
        sequence=7,
        deliveries=deliveries,
        headers=headers or {},
    )


def test_every_stream_and_bucket_is_bounded_and_can_be_rebuilt() -> None:
    """DI-2: nothing lives on the bus alone, and nothing grows without end."""
    for stream in STREAMS:
        assert stream.max_bytes > 0
        assert 0 < stream.dedupe_secs <= stream.max_age_secs
        assert stream.rebuilt_from
    assert all(bucket.rebuilt_from and bucket.max_value_bytes <= bucket.max_bytes for bucket in BUCKETS)
    assert sum(each.max_bytes for each in (*STREAMS, *BUCKETS)) < LOCAL_SERVER_BYTES


def test_every_subject_belongs_to_one_stream() -> None:
    for stream in STREAMS:
        for pattern in stream.subjects:
            subject = pattern.replace(">", "x.y")
            assert [each.name for each in STREAMS if any(matches(p, subject) for p in each.subjects)] == [stream.name]
            assert stream_of(subject) is stream_named(stream.name)


@pytest.mark.parametrize(
    ("pattern", "subject", "held"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*.c", "a.b.c", True),
        ("a.>", "a", False),
        ("a.>", "a.b.c", True),
        (">", "a", True),
    ],
)
def test_patterns_match_as_the_server_does(pattern: str, subject: str, held: bool) -> None:
    assert matches(pattern, subject) is held


def test_what_the_table_does_not_hold_is_refused_with_its_name() -> None:
    for ask in (stream_of, stream_named, bucket_named):
        with pytest.raises(UnknownSubject, match="unknown"):
            ask("unknown.v1.x")


@pytest.mark.parametrize(
    ("error", "deliveries", "expected"),
    [
        (None, 1, DONE),
        (Retry("away", after_secs=2.0), 1, Again(2.0, "Retry: away")),
        (
            Retry("away", after_secs=2.0),
            3,
            Dead(EXHAUSTED, "gave up after 3 deliveries; the last ended in Retry: away"),
        ),
        (Malformed("no id"), 1, Dead("Malformed", "no id")),
        (GiveUp("useless"), 1, Dead("GiveUp", "useless")),
        (Refused(Code.ABORTED, "NOT_HOLDER", "ask the other"), 1, Dead("Refused", "ask the other")),
        (AskBroker("unknown"), 1, Again(0.25, "AskBroker: unknown")),
        (KeyError("defect"), 2, Again(0.5, "KeyError: 'defect'")),
        (KeyError("defect"), 3, Dead(EXHAUSTED, "gave up after 3 deliveries; the last ended in KeyError: 'defect'")),
    ],
)
async def test_each_end_of_a_handler_has_one_meaning(
    error: Exception | None, deliveries: int, expected: object
) -> None:
    """CQ-1, PR-1"""

    async def handler(_: Message) -> None:
        if error is not None:
            raise error

    assert await attempt(handler, a_message(deliveries), CONSUMER) == expected


async def test_a_message_whose_deliveries_are_used_up_is_not_tried_again() -> None:
    tried = []

    async def handler(message: Message) -> None:
        tried.append(message)

    outcome = await attempt(handler, a_message(deliveries=4), CONSUMER)
    assert isinstance(outcome, Dead)
    assert outcome.kind == EXHAUSTED
    assert not tried


def test_the_delay_after_a_defect_grows_to_its_bound() -> None:
    delays = [delay_secs(deliveries) for deliveries in range(1, 200)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0.25, MAX_DELAY_SECS)


def test_a_dead_letter_keeps_everything_of_the_original() -> None:
    """BS-8"""
    letter = dead_letter(a_message(2, {"traceparent": "00-1-2-01"}), CONSUMER, Dead("Malformed", "zwei\nZeilen ä"))
    stored = from_message(
        Message(
            subject=letter.own_subject,
            payload=letter.payload,
            message_id=letter.own_message_id,
            sequence=5,
            headers=letter.own_headers(),
        )
    )
    assert letter.own_subject == "deadletters.v1.CYCLES.scoring"
    assert stored == DeadLetter(
        position=5,
        stream="CYCLES",
        subject="cycles.v1.sma",
        sequence=7,
        message_id="cycle-1",
        payload=b"\x00payload",
        consumer="scoring",
        deliveries=2,
        kind="Malformed",
        reason="zwei Zeilen \\xe4",
        headers={"traceparent": "00-1-2-01"},
    )


def test_a_hostile_original_can_be_put_aside_too() -> None:
    """Anybody may publish: no name, id or header of theirs keeps the dead letter from being stored."""
    original = Message(
        subject="cycles.v1.\x07", payload=b"", message_id="", sequence=9, headers={"a b": "x", "ok": "y"}
    )
    letter = dead_letter(original, CONSUMER, Dead("Malformed", "x" * 5_000))
    carried = outgoing(letter.own_message_id, letter.own_headers())
    assert carried[MESSAGE_ID] == "dead-scoring-CYCLES-9"
    assert "a b" not in carried
    assert len(carried["Holdfast-Reason"]) == 500


def test_a_dead_letter_with_headers_missing_is_shown_all_the_same() -> None:
    letter = from_message(Message(subject="deadletters.v1.x.y", payload=b"p", message_id="", sequence=1))
    assert (letter.payload, letter.reason, letter.sequence) == (b"p", "", 0)


def test_the_servers_own_headers_stay_with_the_server() -> None:
    carried = outgoing("id-1", {"Source": "test"})
    assert incoming(carried) == ("id-1", {"Source": "test"})
    assert incoming(None) == ("", {})
    with pytest.raises(GiveUp):
        outgoing("id-1", {"Nats-TTL": "1"})
    with pytest.raises(GiveUp):
        outgoing("", None)


def test_header_text_is_one_line_of_ascii() -> None:
    assert header_text(" a\r\nb\tc é ") == "a b c \\xe9"
