"""Nothing secret passes the sinks: known values in every form, and values beside keys that look secret (SE-2)."""

import base64
import json
from decimal import Decimal
from urllib.parse import quote, quote_plus

import pytest

from holdfast_runtime.secrets import Secret, hide_registered, register_secret
from holdfast_runtime.telemetry.redaction import MAX_TEXT, looks_secret, redact, redact_text

KNOWN = 'AK/57+q "schön" \\x9=='


@pytest.fixture(autouse=True)
def _known() -> None:
    register_secret(KNOWN)


def encodings() -> dict[str, str]:
    raw = KNOWN.encode()
    return {
        "raw": KNOWN,
        "url": quote(KNOWN),
        "url with slash": quote(KNOWN, safe=""),
        "form": quote_plus(KNOWN),
        "json": json.dumps(KNOWN),
        "json utf-8": json.dumps(KNOWN, ensure_ascii=False),
        "repr": repr(KNOWN),
        "base64": base64.b64encode(raw).decode(),
        "base64 for urls": base64.urlsafe_b64encode(raw).decode(),
    }


@pytest.mark.parametrize("form", sorted(encodings()))
def test_a_known_value_is_hidden_in_this_form(form: str) -> None:
    shown = hide_registered(f"before {encodings()[form]} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "***" in shown
    assert encodings()[form].strip("'\"=") not in shown


@pytest.mark.parametrize("user", ["u", "us", "use", "user"])
def test_basic_authentication_does_not_carry_it_out(user: str) -> None:
    header = base64.b64encode(f"{user}:{KNOWN}".encode()).decode()
    shown = hide_registered(header)
    assert "***" in shown
    # What is left beside the user's own name: less than one character of the secret on either side.
    assert len(shown.replace("***", "").strip("=")) <= len(base64.b64encode(f"{user}:".encode())) + 2


def test_a_longer_secret_is_not_cut_by_a_shorter_one_inside_it() -> None:
    register_secret("inner-part")
    register_secret("outer-inner-part-outer")
    assert hide_registered("<outer-inner-part-outer>") == "<***>"


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "APCA-API-SECRET-KEY",
        "ALPACA_API_KEY",
        "authToken",
        "Authorization",
        "password",
        "key",
        "client_secret",
    ],
)
def test_keys_that_look_secret(key: str) -> None:
    assert looks_secret(key)
    assert redact({key: "unregistered-value"}) == {key: "***"}
    assert redact({key: {"nested": ["unregistered-value"]}}) == {key: "***"}
    assert redact({key: None}) == {key: None}


@pytest.mark.parametrize("key", ["monkey", "keyboard", "symbol", "trace_id", "signal_id", "stop_price"])
def test_keys_that_do_not(key: str) -> None:
    assert redact({key: "text"}) == {key: "text"}


def test_nested_structures_come_out_as_plain_data() -> None:
    value = {
        "order": {"headers": {"authorization": "Bearer abc.def", "accept": "json"}, "price": Decimal("1E+2")},
        "list": [{"note": f"sent {KNOWN} twice: {KNOWN}"}, (1, 2.5, True, None)],
        "secret object": Secret("something-else"),
        "raw": b"\x00\x01",
        "error": ValueError(f"cannot use {KNOWN}"),
    }
    assert redact(value) == {
        "order": {"headers": {"authorization": "***", "accept": "json"}, "price": "100"},
        "list": [{"note": "sent *** twice: ***"}, [1, 2.5, True, None]],
        "secret object": "***",
        "raw": "<2 bytes>",
        "error": "cannot use ***",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /x?api_key=abc123&symbol=SPY", "GET /x?api_key=***&symbol=SPY"),
        ("{'APCA-API-SECRET-KEY': 'abc123', 'a': 1}", "{'APCA-API-SECRET-KEY': '***', 'a': 1}"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ('{"password": "hunter2"}', '{"password": "***"}'),
        ("postgresql://holdfast:hunter2@db:5432/ledger", "postgresql://holdfast:***@db:5432/ledger"),
        ("nats://localhost:4222 at 2013-10-07T13:30:00Z", "nats://localhost:4222 at 2013-10-07T13:30:00Z"),
        ("gate.max_positons: unknown key; did you mean", "gate.max_positons: unknown key; did you mean"),
    ],
)
def test_texts_lose_what_stands_beside_a_secret_word(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_a_private_key_is_hidden_whole() -> None:
    # pragma: allowlist nextline secret
    text = "read -----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\nabc\n-----END EC PRIVATE KEY----- from file"
    assert redact_text(text) == "read *** from file"


def test_a_text_is_cut_only_after_its_secrets_are_gone() -> None:
    text = "x" * (MAX_TEXT - 5) + KNOWN
    shown = redact(text)
    assert KNOWN[:5] not in shown
    assert len(shown) < MAX_TEXT + 50


def test_wide_deep_and_cyclic_values_are_bounded() -> None:
    cyclic: list[object] = []
    cyclic.extend([cyclic] * 200)
    assert len(json.dumps(redact(cyclic))) < 1_000_000
    assert len(redact(list(range(10_000)))) == 256
    assert redact(2**10_000) == "<integer of 10001 bits>"


def test_what_cannot_show_itself_is_named() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert redact(Broken()) == "<Broken that cannot be shown: RuntimeError>"
