"""On the bus a service is its certificate and may do its own work, nothing else (IN-4, SE-3, SE-5, SE-7)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from structlog.testing import capture_logs

from holdfast_catalogue.gauges import total
from holdfast_cli import bus_command
from holdfast_cli.stack_calls import StackFiles
from holdfast_runtime.bus.buckets import NatsBucket
from holdfast_runtime.bus.link import NatsLink
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.bus.permissions import DUTIES, deliver_subject, render
from holdfast_runtime.bus.provision import BusMismatch
from holdfast_runtime.bus.streams import BUCKETS, STREAMS
from holdfast_runtime.errors import Malformed, Retry
from holdfast_runtime.ports.bus import Message
from holdfast_runtime.telemetry import metrics
from holdfast_scoring.consumer import CONSUMER
from tests.contract.bus_backends import PATIENCE_SECS, eventually, reading, working
from tests.contract.secured_nats import SecuredNats

GENERATED = Path(__file__).parents[2] / "deploy" / "helm" / "holdfast" / "files" / "nats-permissions.conf"

Buses = dict[str, NatsBus]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredNats]:
    found = SecuredNats(tmp_path_factory.mktemp("nats"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def buses(server: SecuredNats) -> AsyncIterator[Buses]:
    """Every service at once, each with its streams there."""
    async with contextlib.AsyncExitStack() as stack:
        found = {name: await stack.enter_async_context(server.bus(name)) for name in DUTIES}
        for bus in found.values():
            await applied(bus)
        yield found


async def applied(bus: NatsBus) -> None:
    async with asyncio.timeout(PATIENCE_SECS):
        while True:
            with contextlib.suppress(Retry):
                await bus.apply(update=False)
                return
            await asyncio.sleep(0.05)


def test_the_chart_carries_the_permissions_of_the_table() -> None:
    assert GENERATED.read_text() == render(), "run `make docs`"


async def test_every_stream_is_made_by_its_owner_alone(buses: Buses) -> None:
    found = [await buses["gate"].link.js.stream_info(each.name) for each in STREAMS]
    found += [await buses["gate"].link.js.stream_info(each.stream) for each in BUCKETS]
    assert len(found) == len(STREAMS) + len(BUCKETS)
    assert not any(bus.link.denied for bus in buses.values())


async def test_a_cycle_goes_from_signal_to_scoring_and_what_is_unreadable_is_put_aside(buses: Buses) -> None:
    async def act(message: Message) -> None:
        if message.payload == b"unreadable":
            raise Malformed("by hand")

    async with working(buses["scoring"], CONSUMER, act) as worker:
        for payload in (b"cycle", b"unreadable"):
            await buses["signal"].publish("cycles.v1.sma", payload, message_id=f"permissions-{payload.decode()}")
        await worker.finished(1)
        assert await buses["scoring"].acknowledged(CONSUMER) >= 0
        await eventually(lambda: len(worker.given) == 2)
    assert await buses["signal"].last_position("CYCLES") >= 2
    assert buses["scoring"].link.denied == ""


async def test_admin_reads_facts_bars_and_reports_and_puts_aside(buses: Buses) -> None:
    admin = buses["admin"]
    await buses["execution"].publish("facts.v1.fill", b"fact", message_id="permissions-fact")
    await buses["signal"].publish("market.v1.bar.SPY", b"bar", message_id="permissions-bar")
    async with reading(admin.read("FACTS", "facts.v1.>")) as facts, reading(admin.read("MARKET", ">")) as bars:
        await eventually(lambda: bool(facts.seen and bars.seen))
        await admin.put_aside(facts.seen[0], "admin", "by hand")
    assert await admin.last_position("FACTS") >= 1
    assert admin.link.denied == ""


@pytest.mark.parametrize("service", sorted(DUTIES))
async def test_every_service_reports_its_points_and_its_edges(buses: Buses, service: str) -> None:
    bus = buses[service]
    for name in ("failurepoints", "doctor"):
        bucket, key = NatsBucket(bus, name), f"{service}.pod-{service}"
        entry = await bucket.get(key)
        revision = entry.revision if entry else await bucket.create(key, b"first")
        await bucket.update(key, b"second", revision=revision)
        seen = NatsBucket(buses["admin"], name)
        assert (await seen.get(key)) is not None
        assert key in await seen.keys()
    await bus.publish(f"failurepoints.v1.{service}", b"point", message_id=f"point-{service}")
    await bus.publish("alerts.v1.feed.stale", b"alert", message_id=f"alert-{service}")
    survey = await bus.survey(now=lambda: datetime.now(UTC))
    assert survey.troubles == ()
    assert bus.link.denied == ""


async def test_admin_watches_what_all_report_and_scoring_keeps_its_weights(buses: Buses) -> None:
    watched = NatsBucket(buses["admin"], "failurepoints").watch()
    weights = NatsBucket(buses["scoring"], "weights")
    await NatsBucket(buses["gate"], "failurepoints").create("gate.watched", b"standing")
    async with asyncio.timeout(PATIENCE_SECS):
        while (await anext(watched)).key != "gate.watched":
            pass
        revision = await weights.create("regime", b"0.1")
        await weights.update("regime", b"0.2", revision=revision)
        assert (await anext(weights.watch())).value == b"0.2"
    await watched.aclose()  # type: ignore[attr-defined]
    assert buses["admin"].link.denied == buses["scoring"].link.denied == ""


async def test_the_operator_brings_streams_back_to_the_table(buses: Buses, server: SecuredNats, tmp_path: Path) -> None:
    """IN-5: `holdfast bus apply`, with the operator's certificate."""
    js = buses["operator"].link.js
    declared = (await js.stream_info("FACTS")).config
    await js.update_stream(declared.evolve(max_bytes=1_000_000))
    with pytest.raises(BusMismatch, match="FACTS: max_bytes is 1000000"):
        await buses["execution"].apply(update=False)
    config = tmp_path / "holdfast.yaml"
    config.write_text(f"bus: {{url: '{server.url}'}}")
    assert await bus_command.apply(StackFiles(config, server.certificates)) == []
    assert (await js.stream_info("FACTS")).config.max_bytes == declared.max_bytes
    await buses["execution"].apply(update=False)


FORBIDDEN_TO_PUBLISH = [
    # Only signal makes cycles, only execution facts; nobody reports for somebody else.
    *((each, "cycles.v1.sma") for each in DUTIES if each != "signal"),
    *((each, "facts.v1.fill") for each in DUTIES if each != "execution"),
    *((each, "market.v1.bar.SPY") for each in DUTIES if each != "signal"),
    *((each, "failurepoints.v1.other") for each in DUTIES),
    *((each, "$KV.failurepoints.other.pod") for each in DUTIES),
    *((each, "$KV.weights.regime") for each in DUTIES if each != "scoring"),
    # Nobody deletes, changes, empties or copies a stream, nor looks into the server.
    *((each, f"$JS.API.STREAM.{verb}.FACTS") for each in DUTIES for verb in ("DELETE", "PURGE", "SNAPSHOT")),
    *((each, "$JS.API.STREAM.UPDATE.FACTS") for each in DUTIES if each != "operator"),
    *((each, "$JS.API.STREAM.CREATE.FACTS") for each in DUTIES if each not in ("execution", "operator")),
    *((each, "$JS.API.STREAM.MSG.DELETE.FACTS") for each in DUTIES),
    *((each, "$JS.API.CONSUMER.CREATE.FACTS") for each in DUTIES if each != "admin"),
    *((each, "$JS.API.CONSUMER.DELETE.CYCLES.scoring") for each in DUTIES),
    *((each, "$JS.ACK.CYCLES.scoring.1.1.1.1.0") for each in DUTIES if each != "scoring"),
    *((each, "$SYS.REQ.SERVER.PING") for each in DUTIES),
]
FORBIDDEN_TO_HEAR = [
    *((each, "cycles.v1.>") for each in DUTIES),
    *((each, "facts.v1.>") for each in DUTIES),
    *((each, deliver_subject("CYCLES", "scoring")) for each in DUTIES),
    *((each, "_INBOX.>") for each in DUTIES),
    *((each, f"_INBOX.{other}.>") for each in DUTIES for other in DUTIES if each != other),
    *((each, ">") for each in DUTIES),
]


async def denied(link: NatsLink, told: str) -> None:
    await link.client.flush()
    try:
        await eventually(lambda: link.denied == told.lower())
    except TimeoutError:
        pytest.fail(f"{link.client._inbox_prefix.decode()}: {told} is allowed; denied last: {link.denied}")


async def test_what_is_not_a_services_own_is_denied_counted_and_told(buses: Buses) -> None:
    """SE-3, SE-7: each forbidden subject, as each service."""
    before = total(metrics.BUS_DENIED)
    with capture_logs() as logged:
        for service, subject in FORBIDDEN_TO_PUBLISH:
            await buses[service].link.client.publish(subject, b"{}")
            await denied(buses[service].link, f"publish to {subject}")
    assert total(metrics.BUS_DENIED) - before == len(FORBIDDEN_TO_PUBLISH)
    told = [each["subject"] for each in logged if each["event"] == "bus.denied" and each["log_level"] == "error"]
    assert told == [subject.lower() for _, subject in FORBIDDEN_TO_PUBLISH]


async def test_what_is_for_others_is_not_heard(buses: Buses) -> None:
    for service, subject in FORBIDDEN_TO_HEAR:
        await buses[service].link.client.subscribe(subject)
        await denied(buses[service].link, f"subscription to {subject}")


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_a_client_in_plain_text_or_without_a_certificate_is_refused(server: SecuredNats, scheme: str) -> None:
    """SE-5"""
    client = Client()
    with pytest.raises((NatsError, OSError, TimeoutError)):
        async with asyncio.timeout(5):
            await client.connect(f"{scheme}://127.0.0.1:{server.port}", allow_reconnect=False, connect_timeout=2)
    assert not client.is_connected


async def test_a_certificate_that_is_no_service_of_the_bus_is_refused(server: SecuredNats) -> None:
    """IN-4: papermarket's is one of the same authority, and has no business on the bus."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3), server.bus("papermarket"):
            raise AssertionError("logged in")
