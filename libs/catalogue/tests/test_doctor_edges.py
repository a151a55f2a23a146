"""IN-8: what the doctor looks at: each edge with its verdict, and with what to do where it is not well."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_catalogue.doctor import edges, venue
from holdfast_catalogue.doctor.checks import Check, Verdict, doubtful, examine, gravest
from holdfast_catalogue.machine import Room
from holdfast_core.sessions import xnys
from holdfast_runtime.errors import AskPerson, Retry
from holdfast_runtime.ledger_probe import LedgerLook
from holdfast_runtime.ports.venue import BrokerAccount, BrokerClock

OPENS = datetime(2013, 10, 8, 13, 30, tzinfo=UTC)


@dataclass
class Market:
    """Market time that stands."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    async def sleep_until(self, instant: datetime) -> None:
        raise AssertionError("no timer may hold the lock-step")


NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Survey:
    looked_at: int = 9
    troubles: tuple[str, ...] = ()
    skew: timedelta = timedelta(0)


async def verdict(one: Check) -> tuple[str, str]:
    (only,) = await examine([one])
    assert bool(only.steps) == (only.verdict != pb.VERDICT_OK), "what is not OK says what to do"
    return Verdict(only.verdict).name, only.evidence


async def surveyed(**seen) -> tuple[str, str]:
    async def survey() -> Survey:
        return Survey(**seen)

    return await verdict(edges.bus(survey))


async def test_a_stream_that_is_missing_or_differs_is_named():
    """IN-5."""
    assert (await surveyed())[0] == "OK"
    level, evidence = await surveyed(troubles=("FACTS: stream not found", "KV_doctor differs in max_bytes"))
    assert level == "RED"
    assert evidence == "FACTS: stream not found; KV_doctor differs in max_bytes"


@pytest.mark.parametrize(
    ("skew", "level"), [(0.2, "OK"), (-0.2, "OK"), (1.5, "WARN"), (-1.5, "WARN"), (5.5, "RED"), (-60, "RED")]
)
async def test_clocks_that_differ_are_told_by_how_much(skew, level):
    assert (await surveyed(skew=timedelta(seconds=skew)))[0] == level
    assert (await of_ledger(LedgerLook("postgresql", timedelta(seconds=skew))))[0] == level


async def of_ledger(seen: LedgerLook, *, live: bool = False) -> tuple[str, str]:
    return await verdict(edges.ledger(lambda: seen, live=live))


@pytest.mark.parametrize(("live", "level"), [(False, "OK"), (True, "WARN")])
async def test_a_ledger_without_a_synchronous_standby_is_doubtful_where_money_is_real(live, level):
    """IN-8: a commit that is lost with its server is a second order."""
    found, evidence = await of_ledger(LedgerLook("postgresql", timedelta(0), standby=False), live=live)
    assert found == level
    assert ("no synchronous standby" in evidence) is live
    assert (await of_ledger(LedgerLook("postgresql", timedelta(0)), live=live))[0] == "OK"


async def test_a_ledger_that_acknowledges_what_is_not_on_its_disk_is_red():
    found, evidence = await of_ledger(LedgerLook("postgresql", timedelta(0), commits_at_once=False))
    assert found == "RED"
    assert "synchronous_commit" in evidence


async def test_a_peer_is_asked_once_more_before_it_is_red():
    """One that is just being restarted answers the second time."""
    answers = [Retry("connection refused"), True]

    async def ask() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Retry):
            raise answer
        return answer

    assert (await verdict(edges.peer("gate", ask)))[0] == "OK"
    answers[:] = [Retry("connection refused")] * 2
    assert await verdict(edges.peer("gate", ask)) == ("RED", "connection refused")
    answers[:] = [False]
    assert (await verdict(edges.peer("gate", ask)))[0] == "WARN"


@pytest.mark.parametrize(("days", "level"), [(30, "OK"), (6, "WARN"), (0.5, "RED"), (-1, "RED")])
async def test_a_certificate_that_ends_soon_is_told_in_time(days, level):
    """SE-1."""
    ends = {"the certificate": NOW + timedelta(days=days), "the authority": NOW + timedelta(days=400)}
    assert (await verdict(edges.certificate(lambda: ends, lambda: NOW)))[0] == level


async def test_a_secret_that_nobody_has_changed_for_long_is_told_by_name():
    """SE-1."""
    written = {"ALPACA_API_KEY": NOW - timedelta(days=100), "NATS_TOKEN": NOW}
    level, evidence = await verdict(edges.secrets(lambda: written, lambda: NOW))
    assert (level, evidence) == ("WARN", "ALPACA_API_KEY has not changed for 100 days")
    assert (await verdict(edges.secrets(dict, lambda: NOW)))[0] == "OK"


@pytest.mark.parametrize(
    ("room", "level"),
    [
        (Room(free_bytes=10**10, total_bytes=10**11, writable=True), "OK"),
        (Room(free_bytes=10**9, total_bytes=10**11, writable=True), "WARN"),
        (Room(free_bytes=10**8, total_bytes=10**11, writable=True), "RED"),
        (Room(free_bytes=10**10, total_bytes=10**11, writable=False), "RED"),
    ],
)
async def test_the_disk_must_have_room_and_be_writable(room, level):
    found, evidence = await verdict(edges.disk(lambda: room))
    assert found == level
    assert evidence == (f"{room.free_bytes // 2**20:,} MiB free" if room.writable else "it cannot be written to")


async def test_where_traces_go_is_looked_at_and_never_red():
    """Trading needs no traces; that they go nowhere is told."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1/traces"
    assert await verdict(edges.collector(url)) == ("OK", f"127.0.0.1:{port} takes connections")
    server.close()
    await server.wait_closed()
    level, evidence = await verdict(edges.collector(url))
    assert level == "WARN"
    assert evidence.startswith(f"127.0.0.1:{port} cannot be reached")


# --- the venue


@dataclass
class Broker:
    """Answers as the broker does."""

    blocked: bool = False
    now: datetime = OPENS + timedelta(hours=1)
    next_close: datetime | None = None
    refused: AskPerson | None = None
    closed: bool = False

    async def __aenter__(self) -> "Broker":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    async def account(self) -> BrokerAccount:
        if self.refused is not None:
            raise self.refused
        nothing = Decimal(0)
        return BrokerAccount(
            account_id="a", cash=nothing, equity=nothing, buying_power=nothing, trading_blocked=self.blocked, live=False
        )

    async def clock(self) -> BrokerClock:
        hours = xnys()
        close = self.next_close or hours.next_close(self.now)
        return BrokerClock(
            now=self.now, is_open=hours.is_open(self.now), next_open=hours.next_open(self.now), next_close=close
        )


async def test_the_broker_is_asked_with_the_present_keys_by_a_client_that_is_closed_again():
    """BR-4."""
    broker = Broker()
    assert await verdict(venue.broker(lambda: broker)) == ("OK", "the paper account answers")
    assert broker.closed
    refused = Broker(refused=AskPerson("the venue refuses the credentials", steps=("put new keys there",)))
    assert (await verdict(venue.broker(lambda: refused)))[0] == "RED"
    assert (await verdict(venue.broker(lambda: Broker(blocked=True))))[0] == "RED"


async def test_a_venue_that_closes_early_unknown_to_our_calendar_is_told():
    """TL-3."""
    assert (await verdict(venue.calendar(Broker, xnys())))[0] == "OK"
    early = Broker(next_close=OPENS + timedelta(hours=3))
    level, evidence = await verdict(venue.calendar(lambda: early, xnys()))
    assert level == "WARN"
    assert "closes 2013-10-08 16:30 UTC; our calendar says" in evidence


async def test_the_venues_clock_is_compared_where_market_time_is_not_its_own():
    market = Market(OPENS + timedelta(hours=1, seconds=3))
    assert (await verdict(venue.clock(Broker, market, own_clock=True)))[0] == "WARN"
    assert (await verdict(venue.clock(Broker, market, own_clock=False)))[0] == "OK"


async def test_a_stream_that_is_held_here_must_be_connected():
    assert (await verdict(venue.stream("trade updates", lambda: True)))[0] == "OK"
    assert (await verdict(venue.stream("trade updates", lambda: None)))[0] == "OK"
    assert (await verdict(venue.stream("trade updates", lambda: False)))[0] == "RED"


async def test_doubt_is_no_red():
    (only,) = await examine([Check(name="edge", look=lambda: doubtful("old", "renew it"), steps=())])
    assert gravest([only]) is Verdict.WARN
    assert list(only.steps) == ["renew it"]
