"""The JSON API: who may call it, what it answers, and the kill switch (SE-7, KS)."""

import json
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.domain.sources import LastPrice
from holdfast_admin.domain.views import ServiceView

from .conftest import NOW, TOKEN, Admin, Facts

GETS = ("status", "positions", "orders", "fills", "decisions", "equity", "health", "failure-points", "halts",
        "reconciliation", "kill-switch", "audit", "doctor", "strategies", "broker-connection")  # fmt: skip


@pytest.mark.parametrize("page", GETS)
async def test_nothing_is_told_without_the_token(admin: Admin, page: str) -> None:
    async with admin.client() as client:
        answer = await client.get(f"/api/v1/{page}")
    assert (answer.status_code, answer.json()["code"]) == (401, "NO_TOKEN")


async def test_a_wrong_token_is_refused_counted_and_limited(admin: Admin) -> None:
    async with admin.client() as client:
        for _ in range(10):
            answer = await client.get("/api/v1/status", headers={"Authorization": "Bearer wrong"})
            assert (answer.status_code, answer.json()["code"]) == (401, "WRONG_TOKEN")
        right = {"Authorization": f"Bearer {TOKEN}"}
        answer = await client.get("/api/v1/status", headers=right)
        assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_FAILURES")
        assert int(answer.headers["retry-after"]) >= 1
        admin.clock.secs += 61
        assert (await client.get("/api/v1/status", headers=right)).status_code == 200


@pytest.mark.parametrize("page", GETS)
async def test_every_page_answers_before_anything_is_known(api: httpx.AsyncClient, page: str) -> None:
    answer = await api.get(f"/api/v1/{page}")
    assert answer.status_code == 200, answer.text


async def test_amounts_are_exact_strings_and_positions_carry_their_stops(
    admin: Admin, api: httpx.AsyncClient, facts: Facts
) -> None:
    for fact in (facts.account("99950"), facts.position("SPY", "5"), facts.fill("f1")):
        admin.sources.projection.apply(fact)
    admin.sources.prices["SPY"] = LastPrice(last=Decimal("10.50"), at=NOW, halted=False)
    (position,) = (await api.get("/api/v1/positions")).json()
    assert (position["quantity"], position["unrealised_pnl"], position["stop_price"]) == ("5", "2.50", "9.5")
    assert position["price_live"] is False
    account = (await api.get("/api/v1/status")).json()["account"]
    assert (account["equity"], account["unrealised_pnl"], account["total_pnl"]) == ("100002.50", "2.50", "2.50")
    (fill,) = (await api.get("/api/v1/fills")).json()
    assert fill["value"] == "51.25"


async def test_decisions_tell_the_reason_in_words_with_its_numbers(
    admin: Admin, api: httpx.AsyncClient, facts: Facts
) -> None:
    admin.sources.projection.apply(facts.decision("s1"))
    admin.sources.projection.apply(facts.decision("s2", reason="COOLDOWN_ACTIVE", strategy="rotation"))
    (blocked,) = (await api.get("/api/v1/decisions", params={"outcome": "blocked"})).json()
    assert blocked["in_words"] == "SPY was entered a short while ago."
    assert blocked["numbers"] == {"age_secs": "120", "limit_secs": "900"}
    assert [each["outcome"] for each in blocked["verdicts"]] == ["pass", "block"]
    (allowed,) = (await api.get("/api/v1/decisions", params={"strategy": "sma"})).json()
    assert allowed["allowed"] is True
    assert (await api.get("/api/v1/decisions", params={"outcome": "perhaps"})).status_code == 422


async def test_the_kill_switch_is_a_row_in_the_ledger_and_in_the_audit(
    admin: Admin, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    admin.make_ledger()
    answer = await api.post("/api/v1/kill-switch", json={"reason": "prices look wrong"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["engaged"], answer.json()["confirmed"]) == (True, False)
    (row,) = admin.rows()
    assert (row["kind"], row["reason"], row["set_by"], row["cleared_at"]) == (
        "kill_switch", "prices look wrong", "ada", None,
    )  # fmt: skip
    status = (await api.get("/api/v1/status")).json()
    assert (status["light"], status["reasons"][0]["code"]) == ("RED", "KILL_SWITCH")
    assert (await api.post("/api/v1/kill-switch", json={})).json()["halt_ids"] == answer.json()["halt_ids"]
    assert len(admin.rows()) == 1
    entries = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(e["action"], e["who"], e["via"], e["result"]) for e in entries] == [("engage", "ada", "api", "ok")] * 2


async def test_a_ledger_that_cannot_be_written_is_told_and_audited(admin: Admin, api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/kill-switch", json={"reason": "drill"})
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert "no ledger yet" in answer.json()["message"]
    assert admin.audit.newest()[0].result == "failed"
    assert not admin.ledger_file.exists()


async def test_lifting_needs_a_note_and_goes_through_execution(
    admin: Admin, api: httpx.AsyncClient, facts: Facts
) -> None:
    admin.sources.projection.apply(facts.halt("kill_switch.1"))
    assert (await api.request("DELETE", "/api/v1/kill-switch", json={})).status_code == 422
    answer = await api.request("DELETE", "/api/v1/kill-switch", json={"note": "prices checked"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["engaged"] is False
    (request,) = admin.execution.cleared
    assert (request.halt_id, request.cleared_by, request.note) == ("kill_switch.1", "ada", "prices checked")
    again = await api.request("DELETE", "/api/v1/kill-switch", json={"note": "prices checked"})
    assert (again.status_code, again.json()["code"]) == (409, "NOT_ENGAGED")
    assert [e.result for e in admin.audit.newest()] == ["refused", "ok", "requested"]


async def test_a_halt_is_cleared_by_a_person_with_a_note(admin: Admin, api: httpx.AsyncClient, facts: Facts) -> None:
    """A refused credential, an aborted strategy, a discrepancy: each stands until a person clears it (SE-7)."""
    for halt_id, kind in (("safety_abort.coins.BTC/USD", "safety_abort"), ("kill_switch.1", "kill_switch")):
        admin.sources.projection.apply(facts.halt(halt_id, kind=kind))
    path = "/api/v1/halts/safety_abort.coins.BTC/USD"
    assert (await api.request("DELETE", path, json={})).status_code == 422
    answer = await api.request("DELETE", path, json={"note": "looked up at the broker"})
    assert answer.status_code == 200, answer.text
    assert [each["halt_id"] for each in answer.json()] == ["kill_switch.1"]
    (request,) = admin.execution.cleared
    assert (request.halt_id, request.cleared_by, request.note) == (
        "safety_abort.coins.BTC/USD", "ada", "looked up at the broker",
    )  # fmt: skip
    for gone in (path, "/api/v1/halts/kill_switch.1"):
        again = await api.request("DELETE", gone, json={"note": "looked up at the broker"})
        assert (again.status_code, again.json()["code"]) == (404, "HALT_UNKNOWN")
    assert [(e.action, e.result) for e in admin.audit.newest()] == [
        ("clear", "refused"), ("clear", "refused"), ("clear", "ok"), ("clear", "requested"),
    ]  # fmt: skip


async def test_while_execution_is_away_a_halt_stays(admin: Admin, api: httpx.AsyncClient, facts: Facts) -> None:
    admin.sources.projection.apply(facts.halt("credentials.1", kind="credentials"))
    admin.execution.away = True
    answer = await api.request("DELETE", "/api/v1/halts/credentials.1", json={"note": "new keys"})
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert [each["halt_id"] for each in (await api.get("/api/v1/halts")).json()] == ["credentials.1"]


async def test_while_execution_is_away_the_switch_stays_engaged(
    admin: Admin, api: httpx.AsyncClient, facts: Facts
) -> None:
    admin.sources.projection.apply(facts.halt("kill_switch.1"))
    admin.execution.away = True
    answer = await api.request("DELETE", "/api/v1/kill-switch", json={"note": "prices checked"})
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert (await api.get("/api/v1/kill-switch")).json()["engaged"] is True


async def test_the_status_names_everything_that_blocks(admin: Admin, api: httpx.AsyncClient, facts: Facts) -> None:
    projection = admin.sources.projection
    for fact in (facts.account(), facts.verdict(), facts.position("SPY", "5")):
        projection.apply(fact)
    admin.sources.execution.answered(NOW)
    admin.sources.holder = pb.GetHolderResponse(holder="pod-a", epoch=3, is_holder=True)
    assert (await api.get("/api/v1/status")).json()["light"] == "GREEN"
    admin.sources.services["scoring"] = ServiceView(
        name="scoring", title="Scoring", alive=False, ready=False, since=NOW
    )
    projection.apply(facts.verdict(pb.RECONCILIATION_STATE_DISCREPANT))
    projection.apply(facts.halt("reconciliation.SPY", kind="reconciliation"))
    admin.sources.holder = pb.GetHolderResponse(holder="")
    status = (await api.get("/api/v1/status")).json()
    codes = {reason["code"] for reason in status["reasons"]}
    assert status["light"] == "RED"
    assert codes == {"RECONCILIATION", "SCORING_AWAY", "LEASE_FREE", "RECONCILIATION_DISCREPANT"}


async def test_what_is_only_the_last_known_is_said_to_be(admin: Admin, api: httpx.AsyncClient, facts: Facts) -> None:
    admin.sources.projection.apply(facts.account())
    for link in (admin.sources.execution, admin.sources.bus, admin.sources.signal):
        link.failed(NOW, "gone")
    notices = (await api.get("/api/v1/status")).json()["notices"]
    assert [notice["text"].partition(":")[0] for notice in notices] == [
        "Neither execution nor the bus answers", "Signal does not answer",
    ]  # fmt: skip
    assert "as of Tue 8 Oct 10:30:00 ET" in notices[0]["detail"]


async def test_a_body_that_is_too_large_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/kill-switch", content=b"x" * 20_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


async def test_openapi_describes_every_route(api: httpx.AsyncClient) -> None:
    paths = (await api.get("/api/openapi.json")).json()["paths"]
    assert {path.removeprefix("/api/v1/") for path in paths} == {
        *GETS, "halts/{halt_id}", "claims", "strategies/{name}", "strategies/{name}/stop", "strategies/{name}/start",
    }  # fmt: skip
    assert set(paths["/api/v1/kill-switch"]) == {"get", "post", "delete"}
    assert "404" in paths["/api/v1/strategies/{name}/stop"]["post"]["responses"]
