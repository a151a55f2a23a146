"""Wrong tokens and keys, malformed and oversized bodies over HTTP: a coded answer, and nothing was changed (SE-7)."""

import json

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_runtime.ports.calls import ExecutionCalls
from tests.integration import visitor
from tests.integration.bad_input.disturbed import Disturbed
from tests.integration.bad_input.malformed import NOISE

pytestmark = pytest.mark.stack

LARGE = 100_000
"""More than any request may hold, and little enough to be sent whole before the answer."""


def _halts(disturbed: Disturbed) -> list[str]:
    request = execution.GetLedgerRequest()
    ledger = visitor.call(
        disturbed.stack, ExecutionCalls, "execution", lambda port: port.get_ledger(request), identity="operator"
    )
    return [halt.halt_id for halt in ledger.halts]


def test_the_dashboards_api_answers_the_right_token_only(disturbed: Disturbed) -> None:
    """SE-7: each refusal has a code and a sentence; guesses are bounded; nothing was switched."""
    stack = disturbed.stack
    status, switch = visitor.admin(stack, "/api/v1/status"), visitor.admin(stack, "/api/v1/kill-switch")
    right = {"Authorization": f"Bearer {(stack.folder / 'admin.token').read_text()}"}
    wrong = {"Authorization": "Bearer wrong"}
    assert visitor.http(status, headers=right).status == 200

    nobody = visitor.http(status)
    assert (nobody.status, nobody.body["code"]) == (401, "NO_TOKEN")
    refused = visitor.http(status, headers=wrong)
    assert (refused.status, refused.body["code"]) == (401, "WRONG_TOKEN")
    assert "token" in refused.body["message"]
    body = json.dumps({"reason": "forged"}).encode()
    json_type = {"Content-Type": "application/json"}
    assert visitor.http(switch, body=body, headers=wrong | json_type).status == 401
    assert visitor.http(switch, body=body, headers=json_type).status == 401

    for bad in (b"", b"{", b"[]", b'{"reason": 5}', b'{"reason": ""}', NOISE):
        answer = visitor.http(switch, body=bad, headers=right | json_type, method="POST")
        assert (answer.status, answer.body["code"]) == (422, "INVALID"), bad
    large = visitor.http(switch, body=b"x" * LARGE, headers=right | json_type)
    assert (large.status, large.body["code"]) == (413, "BODY_TOO_LARGE")
    missing = visitor.http(visitor.admin(stack, "/api/v1/nothing"), headers=right)
    assert (missing.status, missing.body["code"]) == (404, "HTTP_404")
    assert visitor.http(f"{status}?limit=0", headers=right).status == 200
    rows = visitor.http(visitor.admin(stack, "/api/v1/orders?limit=0"), headers=right)
    assert (rows.status, rows.body["code"]) == (422, "INVALID")

    codes = [visitor.http(status, headers=wrong).status for _ in range(30)]
    assert set(codes) == {401, 429}
    assert codes[-1] == 429, "guesses are not bounded"
    assert _halts(disturbed) == []
    disturbed.unharmed()


def test_the_venue_refuses_wrong_keys_and_malformed_orders(disturbed: Disturbed) -> None:
    stack = disturbed.stack
    orders = visitor.venue(stack, "/v2/orders")
    right = {
        "APCA-API-KEY-ID": visitor.secret(stack, "papermarket", "ALPACA_API_KEY"),
        "APCA-API-SECRET-KEY": visitor.secret(stack, "papermarket", "ALPACA_SECRET_KEY"),
    }
    order = json.dumps({"symbol": "SPY", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}).encode()
    before = disturbed.books()
    for keys in ({}, right | {"APCA-API-SECRET-KEY": "wrong"}, right | {"APCA-API-KEY-ID": "wrong"}):
        answer = visitor.http(orders, body=order, headers=keys)
        assert (answer.status, answer.body["message"]) == (401, "unauthorized.")
    for bad in (b"", b"{", b"[]", NOISE, b'{"symbol": "XYZ", "qty": "1"}', order.replace(b'"1"', b'"1e999999"')):
        answer = visitor.http(orders, body=bad, headers=right, method="POST")
        assert answer.status in (400, 403, 404, 422), bad
        assert answer.body["message"], bad
    large = visitor.http(orders, body=order.replace(b"SPY", b"S" * LARGE), headers=right)
    assert (large.status, large.body["message"]) == (400, "request body is too large")
    assert disturbed.books() == before
    disturbed.unharmed()
