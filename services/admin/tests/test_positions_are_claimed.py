"""A person claims a position through the API: authenticated and audited, as a halt is cleared (invariant 14, SE-7)."""

import httpx
import pytest

from services.admin.tests.conftest import Admin

CLAIM = {"symbol": "IBM", "strategy": "sma", "note": "bought by hand"}


async def test_a_claim_goes_through_execution_in_the_persons_name(admin: Admin, api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/claims", json=CLAIM)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "adjustment_id": "claim.IBM.9", "symbol": "IBM", "strategy": "sma", "ledger_quantity": "0",
        "broker_quantity": "7", "quantity": "7", "price": "180.5", "cash": "0",
        "description": "claimed by ada: bought by hand",
    }  # fmt: skip
    (request,) = admin.execution.claims
    assert (request.symbol, request.strategy, request.claimed_by, request.note, request.dry_run) == (
        "IBM", "sma", "ada", "bought by hand", False,
    )  # fmt: skip
    assert [(e.who, e.action, e.result, e.detail) for e in admin.audit.newest()] == [
        ("ada", "claim", "ok", "claim.IBM.9"), ("ada", "claim", "requested", ""),
    ]  # fmt: skip


async def test_a_dry_run_books_nothing(admin: Admin, api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/claims", json=CLAIM | {"dry_run": True})
    assert (answer.status_code, answer.json()["adjustment_id"], answer.json()["quantity"]) == (200, "", "7")
    assert [request.dry_run for request in admin.execution.claims] == [True]
    assert admin.audit.newest() == []


async def test_what_execution_refuses_is_told_and_audited(admin: Admin, api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/claims", json=CLAIM | {"symbol": "SPY"})
    assert (answer.status_code, answer.json()) == (409, {"code": "NOTHING_DIFFERS", "message": "nothing to claim"})
    assert [(e.action, e.result, e.detail) for e in admin.audit.newest()] == [
        ("claim", "refused", "nothing to claim"), ("claim", "requested", ""),
    ]  # fmt: skip


async def test_while_execution_is_away_nothing_is_claimed(admin: Admin, api: httpx.AsyncClient) -> None:
    admin.execution.away = True
    answer = await api.post("/api/v1/claims", json=CLAIM)
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert [e.result for e in admin.audit.newest()] == ["failed", "requested"]


@pytest.mark.parametrize("missing", ["symbol", "note"])
async def test_a_claim_names_its_symbol_and_why(admin: Admin, api: httpx.AsyncClient, missing: str) -> None:
    body = {key: value for key, value in CLAIM.items() if key != missing}
    answer = await api.post("/api/v1/claims", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID")
    assert admin.execution.claims == []


async def test_nobody_claims_without_the_token(admin: Admin) -> None:
    async with admin.client() as stranger:
        assert (await stranger.post("/api/v1/claims", json=CLAIM)).status_code == 401
    assert admin.execution.claims == []
