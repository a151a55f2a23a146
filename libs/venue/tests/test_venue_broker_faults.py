"""Faults on the wire: one request is one request, and what is not known is said to be unknown (traps 1-6)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.ports.venue import (
    NotSent,
    OrderRefused,
    OrderRequest,
    OutcomeUnknown,
    RefusalKind,
    Throttled,
    Unauthorised,
    VenueUnavailable,
)
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import traces
from holdfast_runtime.telemetry.trace_file import TraceFiles
from holdfast_venue.broker import AlpacaBroker

Told = Callable[..., dict[str, Any]]
LATER_SECS = 60.0


async def send(broker: AlpacaBroker, order: OrderRequest) -> Any:
    return await broker.submit_order(order, last_write_at_secs=SystemMonotonicClock().now_secs() + LATER_SECS)


async def test_a_504_leads_to_exactly_one_post_and_an_unknown_outcome(
    venue: Any, broker: Any, entry: Any, answers: Any
):
    """Trap 1: the client would send it three times more."""
    venue.then(answers.text(504, "<html>gateway timeout</html>"))
    with pytest.raises(OutcomeUnknown):
        await send(broker, entry)
    assert [request.method for request in venue.requests] == ["POST"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 302, 409])
async def test_a_status_that_proves_nothing_leaves_the_outcome_unknown(
    venue: Any, broker: Any, entry: Any, answers: Any, status: int
):
    venue.then(answers.json(status, {"message": "no"}))
    with pytest.raises(OutcomeUnknown):
        await send(broker, entry)
    assert len(venue.requests) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 422])
async def test_html_of_a_gateway_proves_nothing(venue: Any, broker: Any, entry: Any, answers: Any, status: int):
    """Trap 3: APIError.code itself raises on such a body."""
    venue.then(answers.text(status, "<html>blocked</html>"))
    with pytest.raises(OutcomeUnknown):
        await send(broker, entry)


@pytest.mark.parametrize("fault", ["reset", "silence", "truncated", "dripping", "no_json", "empty", "a_list"])
async def test_an_answer_that_does_not_come_whole_leaves_the_outcome_unknown(
    venue: Any, impatient: Any, entry: Any, answers: Any, fault: str
):
    async def drip(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)  # the fault itself: a byte now and then

    scripts = {
        "reset": answers.reset(),
        "silence": answers.silence(),
        "truncated": answers.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 4000\r\nConnection: close\r\n\r\n{"id": "61'),
        "dripping": drip,
        "no_json": answers.text(200, "<html>hello</html>"),
        "empty": answers.text(200, ""),
        "a_list": answers.json(200, [1]),
    }
    if fault == "truncated":
        script = scripts[fault]

        async def cut(request: Any, writer: asyncio.StreamWriter) -> None:
            await script(request, writer)
            await writer.drain()
            writer.close()

        scripts[fault] = cut
    venue.then(scripts[fault])
    with pytest.raises(OutcomeUnknown):
        await send(impatient, entry)
    assert len(venue.requests) == 1


@pytest.mark.parametrize(
    "changes", [{"client_order_id": "hf-two"}, {"symbol": "IBM"}, {"side": "sell"}, {"qty": "11"}, {"qty": "NaN"}]
)
async def test_a_200_that_tells_of_another_order_leaves_the_outcome_unknown(
    venue: Any, broker: Any, entry: Any, answers: Any, told: Told, changes: dict[str, str]
):
    """Order protocol, point 6: any other 2xx."""
    venue.then(answers.json(200, told(**changes)))
    with pytest.raises(OutcomeUnknown):
        await send(broker, entry)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (422, "client_order_id must be unique", RefusalKind.DUPLICATE_CLIENT_ID),
        (403, "potential wash trade detected. use complex orders", RefusalKind.WASH_TRADE),
        (403, "insufficient qty available for order (requested: 10, available: 0)", RefusalKind.SHARES_HELD),
        (403, "insufficient balance for BTC (requested: 1, available: 0.5)", RefusalKind.SHARES_HELD),
        (403, "insufficient balance for USD (requested: 10, available: 5)", RefusalKind.BUYING_POWER),
        (403, "insufficient buying power", RefusalKind.BUYING_POWER),
        (422, "stop price must be less than base_price - 0.01", RefusalKind.STOP_THROUGH_PRICE),
        (422, "stop price must be less than the current price 168.4", RefusalKind.STOP_THROUGH_PRICE),
        (422, "stop_price must be > 0", RefusalKind.OTHER),
        (403, "the market is closed", RefusalKind.MARKET_CLOSED),
        (422, "asset XYZ is not tradable", RefusalKind.NOT_TRADABLE),
        (422, "something never heard of", RefusalKind.OTHER),
    ],
)
async def test_a_proven_no_says_which_no(
    venue: Any, broker: Any, entry: Any, answers: Any, status: int, message: str, kind: RefusalKind
):
    """Trap 6: by the message, since codes vary."""
    venue.then(answers.json(status, {"code": 40010001, "message": message}))
    with pytest.raises(OrderRefused) as refused:
        await send(broker, entry)
    assert (refused.value.kind, refused.value.http_status, refused.value.code) == (kind, status, "40010001")


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, {"code": 40110000, "message": "request is not authorized"}), (403, {"message": "forbidden."})],
)
async def test_after_a_refusal_of_the_credentials_nothing_is_sent_until_they_change(
    venue: Any, broker: Any, entry: Any, answers: Any, secrets: Any, told: Told, status: int, body: dict[str, Any]
):
    """Invariant 5."""
    venue.then(answers.json(status, body), answers.json(200, told()))
    for _ in range(3):
        with pytest.raises(Unauthorised):
            await send(broker, entry)
    with pytest.raises(Unauthorised):
        await broker.positions()
    assert len(venue.requests) == 1
    secrets.key = "key-two"
    assert (await send(broker, entry)).status == "accepted"
    assert venue.requests[-1].headers["apca-api-key-id"] == "key-two"


async def test_refused_credentials_that_a_person_vouches_for_are_tried_once_more(venue: Any, broker: Any, answers: Any):
    """SQ-14: a 401 that was the venue's own mistake needs no new key; a second one shuts the door again."""
    refusal = answers.json(401, {"code": 40110000, "message": "request is not authorized"})
    venue.then(refusal, refusal, answers.json(200, []))
    for asked in (1, 2):
        for _ in range(2):
            with pytest.raises(Unauthorised):
                await broker.positions()
        assert len(venue.requests) == asked
        broker.vouch_for_credentials()
    assert await broker.positions() == []


async def test_a_429_says_how_long_to_wait_by_the_venues_own_clock(venue: Any, broker: Any, entry: Any, answers: Any):
    """Trap 11."""
    venue.then(
        answers.json(
            429,
            {"message": "too many requests"},
            Date="Mon, 07 Oct 2013 13:35:00 GMT",
            X_RateLimit_Limit="200",
            X_RateLimit_Remaining="0",
            X_RateLimit_Reset="1381152917",
        )
    )
    with pytest.raises(Throttled) as throttled:
        await send(broker, entry)
    assert throttled.value.after_secs == 17.0
    assert len(venue.requests) == 1


async def test_nothing_is_written_after_the_last_instant_for_it(venue: Any, broker: Any, entry: Any, answers: Any):
    """Order protocol, point 4."""
    venue.then(answers.json(500, {}))
    with pytest.raises(NotSent):
        await broker.submit_order(entry, last_write_at_secs=SystemMonotonicClock().now_secs() - 0.001)
    assert venue.requests == []


async def test_the_last_instant_is_looked_at_when_the_connection_stands(
    venue: Any, settings_for: Any, secrets: Any, entry: Any, answers: Any
):
    """Order protocol, point 4: in the sending thread, before the socket write, however long it took to get there."""
    from holdfast_venue.factory import open_broker

    class LateClock(SystemMonotonicClock):
        """Reads 0 on the loop, where all the waiting is done, and a late instant in the sending thread."""

        def now_secs(self) -> float:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return 10.0
            return 0.0

    venue.then(answers.json(500, {}))
    broker = open_broker(settings_for(venue.port), secrets, monotonic_clock=LateClock(), environ={})
    with pytest.raises(NotSent):
        await broker.submit_order(entry, last_write_at_secs=9.0)
    assert venue.requests == []
    await broker.close()


async def test_where_no_connection_can_be_made_nothing_was_sent(
    settings_for: Any, secrets: Any, entry: Any, clock: Any
):
    from holdfast_venue.factory import open_broker

    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    broker = open_broker(settings_for(port), secrets, monotonic_clock=clock, environ={})
    with pytest.raises(NotSent):
        await send(broker, entry)
    with pytest.raises(VenueUnavailable):
        await broker.positions()
    await broker.close()


@pytest.mark.parametrize("status", [404, 500, 502, 504])
async def test_a_gateways_error_is_no_evidence_that_an_order_is_absent(
    venue: Any, broker: Any, answers: Any, status: int
):
    """Invariant 11."""
    venue.then(answers.text(status, "<html>not here</html>"))
    with pytest.raises(VenueUnavailable):
        await broker.order_by_client_id("hf-one")


async def test_the_venues_own_404_says_that_an_order_is_absent(venue: Any, broker: Any, answers: Any):
    venue.then(answers.json(404, {"code": 40410000, "message": "order not found for hf-one"}))
    assert await broker.order_by_client_id("hf-one") is None


async def test_a_look_up_that_tells_of_another_order_is_not_believed(venue: Any, broker: Any, answers: Any, told: Told):
    venue.then(answers.json(200, told(client_order_id="hf-two")))
    with pytest.raises(VenueUnavailable):
        await broker.order_by_client_id("hf-one")


async def test_a_cancel_of_a_terminal_order_is_refused_as_such(venue: Any, broker: Any, answers: Any):
    venue.then(answers.json(422, {"code": 42210000, "message": 'order is already in "filled" state'}))
    with pytest.raises(OrderRefused) as refused:
        await broker.cancel_order("61e69015")
    assert refused.value.kind is RefusalKind.NOT_CANCELABLE


async def test_a_hanging_poll_does_not_keep_protection_waiting(
    venue: Any, impatient: Any, entry: Any, answers: Any, told: Told
):
    """One pool of threads and one session for each class of requests."""

    async def by_method(request: Any, writer: asyncio.StreamWriter) -> None:
        script = answers.silence() if request.method == "GET" else answers.json(200, told())
        await script(request, writer)

    venue.then(by_method)
    polls = [asyncio.create_task(impatient.positions()) for _ in range(8)]
    await asyncio.wait_for(venue.arrived.wait(), 30)
    later = SystemMonotonicClock().now_secs() + LATER_SECS
    assert (await impatient.submit_order(entry, last_write_at_secs=later, reducing=True)).client_order_id == "hf-one"
    assert not any(poll.done() for poll in polls)
    for error in await asyncio.gather(*polls, return_exceptions=True):
        assert isinstance(error, VenueUnavailable)


async def test_a_request_is_a_client_span_with_what_came_back(
    venue: Any, broker: Any, entry: Any, answers: Any, told: Told, tmp_path: Any
):
    """Tracing: the broker call is one step of the signal's trace."""
    traces.setup("execution", Settings(state_dir=tmp_path), {})
    try:
        venue.then(answers.text(504, "<html>"), answers.json(200, told()))
        with traces.span("execution.send", client_order_id="hf-one"):
            with pytest.raises(OutcomeUnknown):
                await send(broker, entry)
            await send(broker, entry)
    finally:
        assert traces.shutdown(30.0)
    (root,) = TraceFiles(tmp_path).trees("hf-one")
    calls = [span for depth, span in root.walk() if depth == 1]
    assert [span.name for span in calls] == ["broker.submit_order"] * 2
    assert [str(span.attributes["http.response.status_code"]) for span in calls] == ["504", "200"]
    assert {span.attributes["holdfast.client_order_id"] for span in calls} == {"hf-one"}
    assert "key-one" not in "".join(path.read_text() for path in (tmp_path / "traces").iterdir())


async def test_no_trace_context_and_no_secret_leaves_beyond_the_credentials_headers(
    venue: Any, broker: Any, entry: Any, answers: Any, told: Told
):
    venue.then(answers.json(200, told()))
    await send(broker, entry)
    assert "traceparent" not in venue.requests[0].headers
    assert "key-one" not in venue.requests[0].body + venue.requests[0].target
    assert "key-one" not in repr(broker)
