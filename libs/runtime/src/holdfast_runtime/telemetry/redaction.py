"""Nothing secret leaves through a log or a trace (SE-2): registered values in any form, and what stands beside a key
that looks secret, in nested structures and inside texts."""

import re
from collections.abc import Mapping, Sequence, Set
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any

from holdfast_runtime.secrets import HIDDEN, hide_registered

MAX_TEXT = 16_384
"""Characters of one text; the rest is cut, and the cut is said."""
MAX_ITEMS = 256
MAX_NODES = 2_000
MAX_DEPTH = 8

_WORD = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    (
        "key", "keys", "apikey", "secret", "secrets", "token", "tokens", "password", "passwords", "passwd",
        "authorization", "credential", "credentials", "cookie",
    )
)  # fmt: skip

_BESIDE_A_KEY = re.compile(
    r"(?i)((?:secret|token|password|passwd|authorization|(?:api|access|private)[-_ ]?key)[\w-]{0,32}"
    r"[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:(?:bearer|basic)\s{1,4})?)([^\s\"'&,;)}\]]{1,4096})"
)
_IN_A_URL = re.compile(r"(://[^/\s:@\"']{0,256}:)([^@/\s\"']{1,256})(?=@)")
_PEM = re.compile(
    r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.{0,16384}?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)", re.S
)


@lru_cache(maxsize=4_096)
def looks_secret(key: str) -> bool:
    """True for api_key, APCA-API-SECRET-KEY, authToken, Authorization; false for monkey, keyboard."""
    return any(word.lower() in _SECRET_WORDS for word in _WORD.findall(key))


def redact_text(text: str) -> str:
    """`text` without registered secrets, values beside keys that look secret, passwords in URLs and private keys."""
    text = hide_registered(text)
    if ":" in text or "=" in text:
        text = _BESIDE_A_KEY.sub(rf"\1{HIDDEN}", text)
        if "://" in text:
            text = _IN_A_URL.sub(rf"\1{HIDDEN}", text)
    if "PRIVATE KEY" in text:
        text = _PEM.sub(HIDDEN, text)
    return text


def redact(value: Any, *, key: str = "") -> Any:
    """`value`, found under `key`, as plain JSON data: bounded in depth and size, with nothing secret left in it."""
    return _Walk().visit(value, key, 0)


class _Walk:
    """One pass over a value; counts what it has met, so that a wide or cyclic one cannot keep it busy."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def visit(self, value: Any, key: str, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if looks_secret(key):
            return HIDDEN
        match value:
            case Enum():
                return self.visit(value.value, key, depth)
            case str():
                return _bounded(redact_text(value))
            case int() if value.bit_length() > 256:
                return f"<integer of {value.bit_length()} bits>"
            case int() | float():
                return value
            case Decimal():
                return format(value, "f") if abs(value.adjusted()) < 64 else str(value)
            case date():
                return value.isoformat()
            case bytes() | bytearray():
                return f"<{len(value)} bytes>"
        if depth >= MAX_DEPTH or self._left <= 0:
            return "…"
        match value:
            case Mapping():
                items = islice(value.items(), MAX_ITEMS)
                return {redact_text(str(k)): self.visit(v, str(k), depth + 1) for k, v in items}
            case Sequence() | Set():
                return [self.visit(each, "", depth + 1) for each in islice(value, MAX_ITEMS)]
        return _bounded(redact_text(_shown(value)))


def _shown(value: object) -> str:
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception as error:  # noqa: BLE001 a value that cannot show itself must not break who logs it
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"
