"""A person stops and starts a strategy, and reconnects a connection that has expired (SQ-10, SQ-12, SQ-14, SE-7)."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from holdfast.doctor.v1 import doctor_pb2 as doctor
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.domain.sources import KnownStrategies
from holdfast_catalogue.doctor.checks import Result, red, result, well
from holdfast_catalogue.reports import report_key
from holdfast_runtime.ports.buckets import Entry

from .conftest import TOKEN, Admin, Facts

OWN = {"X-Holdfast": "1", "Origin": "http://admin.test"}
STOP, START = "/api/v1/strategies/sma/stop", "/api/v1/strategies/sma/start"
CONNECTION = "/api/v1/broker-connection"


@pytest.fixture
def strategies(admin: Admin, facts: Facts) -> Admin:
    """Execution has told of two: one holds SPY behind its stop, the other has failed."""
    admin.tell_strategies(
        pb.Strategy(
            strategy="sma", state="running", trade_state="bought", positions=[facts.position("SPY", "5").position],
            open_intents=[facts.intent("stop-1", pb.INTENT_STATE_ACKED).intent],
        ),
        pb.Strategy(strategy="rotation", state="failed", reason="ATTEMPTS_EXHAUSTED: i7", trade_state="exited_by_sl"),
    )  # fmt: skip
    return admin


def audited(admin: Admin) -> list[tuple[str, str, str, str]]:
    """What the audit has, oldest first."""
    return [(each.action, each.who, each.what, each.result) for each in reversed(admin.audit.newest())]


@pytest.fixture
async def browser(admin: Admin) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is signed in."""
    async with admin.client() as client:
        await client.post("/login", data={"token": TOKEN, "who": "ada"})
        yield client


@pytest.mark.usefixtures("strategies")
async def test_each_strategy_is_told_with_its_state_its_positions_and_its_orders(api: httpx.AsyncClient) -> None:
    """SQ-12: the states are the documents' own."""
    rotation, sma = (await api.get("/api/v1/strategies")).json()
    assert (rotation["strategy"], rotation["state"], rotation["trade_state"]) == ("rotation", "failed", "exited_by_sl")
    assert rotation["reason"] == "ATTEMPTS_EXHAUSTED: i7"
    assert (sma["state"], sma["trade_state"]) == ("running", "bought")
    assert [(each["symbol"], each["quantity"], each["protection"]) for each in sma["positions"]] == [
        ("SPY", "5", "active")
    ]
    assert [each["intent_id"] for each in sma["open_orders"]] == ["stop-1"]
    assert (await api.get("/api/v1/strategies/sma")).json() == sma


async def test_a_stop_and_a_start_go_to_execution_and_into_the_audit(strategies: Admin, api: httpx.AsyncClient) -> None:
    """SQ-10: in the name of the person who did it, with the words for the record."""
    stopped = await api.post(STOP, json={"note": "prices look wrong"})
    assert stopped.status_code == 200, stopped.text
    assert (stopped.json()["state"], stopped.json()["reason"], stopped.json()["set_by"]) == (
        "stopped", "prices look wrong", "ada",
    )  # fmt: skip
    assert (await api.get("/api/v1/strategies/sma")).json() == stopped.json(), "told at once"
    reasons = (await api.get("/api/v1/status")).json()["reasons"]
    assert ("STRATEGY_STOPPED", "YELLOW") in [(each["code"], each["light"]) for each in reasons]
    started = await api.post(START, json={"note": "prices checked"})
    assert started.json()["state"] == "running"
    assert audited(strategies) == [
        ("stop", "ada", "sma: prices look wrong", "ok"),
        ("start", "ada", "sma: prices checked", "requested"),
        ("start", "ada", "sma: prices checked", "ok"),
    ]


async def test_neither_is_done_without_words_for_the_record(strategies: Admin, api: httpx.AsyncClient) -> None:
    for path in (STOP, START):
        assert (await api.post(path, json={})).status_code == 422
        assert (await api.post(path, json={"note": "   "})).status_code == 422
    assert strategies.execution.strategies["sma"].state == "running"


async def test_a_name_that_nobody_knows_is_answered_with_those_that_are(
    strategies: Admin, api: httpx.AsyncClient
) -> None:
    for answer in (
        await api.get("/api/v1/strategies/smma"),
        await api.post("/api/v1/strategies/smma/stop", json={"note": "prices look wrong"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "STRATEGY_UNKNOWN")
        assert "sma" in answer.json()["message"]
        assert "rotation" in answer.json()["message"]
    assert [each[3] for each in audited(strategies)] == ["refused"]


async def test_while_execution_is_away_nothing_is_told_to_be_done(strategies: Admin, api: httpx.AsyncClient) -> None:
    strategies.execution.away = True
    for path, results in ((STOP, ["failed"]), (START, ["failed", "requested", "failed"])):
        answer = await api.post(path, json={"note": "prices look wrong"})
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
        assert [each[3] for each in audited(strategies)] == results
    assert (await api.get("/api/v1/strategies/sma")).json()["state"] == "running"


async def test_before_execution_has_told_of_any_a_strategy_is_not_said_to_be_unknown(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/v1/strategies")).json() == []
    assert (await api.get("/api/v1/strategies/sma")).status_code == 503


def test_an_answer_that_was_overtaken_by_a_stop_does_not_undo_it() -> None:
    known = KnownStrategies()
    known.take([pb.Strategy(strategy="sma", state="running")], 7)
    known.take_one(pb.Strategy(strategy="sma", state="stopped"), 9)
    known.take([pb.Strategy(strategy="sma", state="running")], 8)
    assert known.by_name["sma"].state == "stopped"
    known.take([pb.Strategy(strategy="sma", state="running")], 9)
    assert known.by_name["sma"].state == "running"


@pytest.mark.usefixtures("strategies")
async def test_the_page_stops_and_starts(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/strategies")).text
    assert 'id="strategy-sma" data-state="running"' in page
    assert 'id="strategy-rotation" data-state="failed"' in page
    assert "Exited by stop-loss" in page
    refused = await browser.post("/strategies/stop", headers=OWN, data={"strategy": "sma", "note": " "})
    assert refused.status_code == 422
    done = await browser.post("/strategies/stop", headers=OWN, data={"strategy": "sma", "note": "prices look wrong"})
    assert "sma is stopped" in done.text
    page = (await browser.get("/strategies")).text
    assert 'id="strategy-sma" data-state="stopped"' in page
    assert "prices look wrong" in page
    done = await browser.post("/strategies/start", headers=OWN, data={"strategy": "sma", "note": "all is well"})
    assert "sma is started" in done.text
    assert 'id="strategy-sma" data-state="running"' in (await browser.get("/strategies")).text


# --- the broker's connection


def execution_finds(admin: Admin, found: Result) -> None:
    """Execution answers every request of the doctor with what it has found about the broker."""
    ask = admin.clinic.ask

    async def answered() -> object:
        asked = await ask()
        key = report_key("execution", "pod-a")
        told = doctor.Examination(
            service="execution", instance="pod-a", request=asked.number, results=[result("broker", found, ("look",))]
        )
        admin.speaking.add(key)
        admin.clinic.take(Entry(key=key, value=told.SerializeToString(), revision=asked.number))
        return asked

    admin.clinic.ask = answered  # type: ignore[method-assign,assignment]  # the answer comes with the request


@pytest.fixture
def expired(strategies: Admin, facts: Facts) -> Admin:
    strategies.sources.projection.apply(facts.halt("credentials.1", kind="credentials"))
    return strategies


@pytest.mark.usefixtures("expired")
async def test_an_expired_connection_is_told_with_what_to_do(
    api: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    """SQ-14: on the page and in the JSON, in the same words."""
    told = (await api.get(CONNECTION)).json()
    assert (told["expired"], told["text"], told["halt_ids"]) == (True, "Broker connection expired", ["credentials.1"])
    assert len(told["what_to_do"]) >= 3
    status = (await api.get("/api/v1/status")).json()
    assert "Broker connection expired" in status["reasons"][0]["text"]
    page = (await browser.get("/strategies")).text
    assert "Broker connection expired" in page
    assert all(step.replace("'", "&#39;") in page for step in told["what_to_do"])


async def test_reconnecting_verifies_the_credentials_and_starts_nothing(expired: Admin, api: httpx.AsyncClient) -> None:
    """SQ-14: the strategy stays as it is until a person starts it."""
    execution_finds(expired, well("the paper account answers"))
    answer = await api.post(CONNECTION, json={"note": "new keys"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["expired"] is False
    assert [each.halt_id for each in expired.execution.cleared] == ["credentials.1"]
    assert (await api.get("/api/v1/strategies/rotation")).json()["state"] == "failed"
    assert [(action, outcome) for action, _, _, outcome in audited(expired) if action == "reconnect"] == [
        ("reconnect", "requested"), ("reconnect", "ok"),
    ]  # fmt: skip


async def test_credentials_that_the_broker_refuses_change_nothing(expired: Admin, api: httpx.AsyncClient) -> None:
    """SQ-3, SQ-14."""
    execution_finds(expired, red("the venue refuses the credentials: 401"))
    answer = await api.post(CONNECTION, json={"note": "new keys"})
    assert (answer.status_code, answer.json()["code"]) == (409, "CREDENTIALS_REFUSED")
    assert "the venue refuses the credentials: 401" in answer.json()["message"]
    assert expired.execution.cleared == []
    assert (await api.get(CONNECTION)).json()["expired"] is True
    assert audited(expired)[-1][::3] == ("reconnect", "refused")


async def test_credentials_that_nobody_has_tried_are_not_taken_for_good(expired: Admin, api: httpx.AsyncClient) -> None:
    """Execution does not answer: the wait ends, and the connection stays expired."""
    async with asyncio.timeout(30):
        answer = await api.post(CONNECTION, json={"note": "new keys"})
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert expired.execution.cleared == []


@pytest.mark.usefixtures("strategies")
async def test_a_connection_that_is_not_expired_is_not_reconnected(admin: Admin, api: httpx.AsyncClient) -> None:
    assert (await api.get(CONNECTION)).json()["expired"] is False
    answer = await api.post(CONNECTION, json={"note": "new keys"})
    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_EXPIRED")
    assert admin.examiner.newest is None, "nobody was asked"


async def test_the_page_reconnects(expired: Admin, browser: httpx.AsyncClient) -> None:
    execution_finds(expired, well("the paper account answers"))
    done = await browser.post("/broker-connection", headers=OWN, data={"note": "new keys"})
    assert done.status_code == 200, done.text
    page = (await browser.get("/strategies")).text
    assert 'id="connection-card"' not in page
    assert 'id="strategy-rotation" data-state="failed"' in page
