"""Named secrets: from a mounted folder, else from the environment; never printed (SE-2, SE-4, IN-6)."""

import base64
import contextlib
import hmac
import json
import os
import re
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, quote_plus

from holdfast_runtime.errors import AskPerson
from holdfast_runtime.telemetry import metrics

SECRETS_DIR = "HOLDFAST_SECRETS_DIR"
"""Environment variable that names the mounted folder: one file a secret, its name the secret's name."""

HIDDEN = "***"
"""What stands where a secret was."""

MIN_LENGTH = 4
"""Shorter values cannot be told from ordinary text, so they could not be kept out of logs: refused."""

_MAX_BYTES = 64 * 1024
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")

_lock = threading.Lock()
_forms: tuple[str, ...] = ()


def register_secret(value: str) -> None:
    """From now on no log line and no trace shows `value`, nor its URL, base64 or JSON form.

    Values shorter than MIN_LENGTH are left alone: hiding them would shred every line.
    """
    global _forms
    if len(value) < MIN_LENGTH:
        return
    with _lock:
        # Longest first, so that no form is cut in two by a shorter one inside it.
        _forms = tuple(sorted({*_forms, *_forms_of(value)}, key=lambda form: (-len(form), form)))


def hide_registered(text: str) -> str:
    """`text` with every registered value, in any of its forms, replaced."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def _forms_of(value: str) -> set[str]:
    raw = value.encode()
    forms = {value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1]}
    forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    # Inside a longer text (`user:secret` of basic authentication) base64 depends on the position modulo 3.
    for offset in range(3):
        first = (offset * 8 + 5) // 6
        last = (offset + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(b"\0" * offset + raw).decode()[first:last])
    return {form for form in forms if len(form) >= MIN_LENGTH}


class Secret:
    """A value that shows itself only on request."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        register_secret(value)
        self._value = value

    def reveal(self) -> str:
        """The value itself: hand it to the library that needs it, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a secret is no key of a dictionary

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")


class SecretUnavailable(AskPerson):
    """A secret that is needed is nowhere, or cannot be read. Names the secret and both places looked at (SE-4)."""

    def __init__(self, name: str, looked_at: tuple[str, ...]) -> None:
        super().__init__(
            f"secret {name} is not available: " + "; ".join(looked_at),
            steps=(f"put {name} into the folder named by {SECRETS_DIR}, or into the environment", "start again"),
        )
        self.name = name
        self.looked_at = looked_at


class SecretStore:
    """Secrets by name, each read once and kept; `refresh` reads the mounted ones again, so a rotation needs no restart.

    A value taken from the environment is removed from it, so that a dump of the environment, and every child process,
    lacks it. (The kernel's own copy of the start environment remains: mounted files are the better place.)
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        folder = self._environ.get(SECRETS_DIR, "")
        self._folder = Path(folder) if folder else None
        self._known: dict[str, Secret] = {}
        self._mounted: set[str] = set()
        self.kept: dict[str, str] = {}
        """Names whose last good value the newest refresh has kept, with the reason."""

    @classmethod
    def from_environment(cls) -> "SecretStore":
        """The store of this process."""
        return cls(os.environ)

    def __repr__(self) -> str:
        return f"SecretStore({', '.join(sorted(self._known))})"

    def get(self, name: str) -> Secret:
        """The last good value of `name`. Raises SecretUnavailable."""
        found = self.optional(name)
        if found is None:
            raise SecretUnavailable(name, (self._folder_says(name, "no such file"), "environment: not set"))
        return found

    def optional(self, name: str) -> Secret | None:
        """The last good value of `name`; None where neither place has it. Raises SecretUnavailable where a place has it
        and it cannot be used: an unreadable file is never passed over in silence."""
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no name of a secret")
        if name in self._known:
            return self._known[name]
        value = self._read_file(name)
        if value is not None:
            self._mounted.add(name)
        else:
            value = self._take_from_environment(name)
        if value is None:
            return None
        self._known[name] = Secret(value)
        return self._known[name]

    def refresh(self) -> "Refreshed":
        """Reads the mounted secrets again. One that is gone or unreadable keeps its last good value (IN-6)."""
        changed: list[str] = []
        kept: dict[str, str] = {}
        for name in sorted(self._mounted):
            try:
                value = self._read_file(name)
            except SecretUnavailable as error:
                kept[name] = str(error)
                continue
            if value is None:
                kept[name] = self._folder_says(name, "no such file any more")
            elif value != self._known[name].reveal():
                self._known[name] = Secret(value)
                changed.append(name)
        self._tell_ages()
        for name in kept:
            metrics.SECRET_REFRESH_FAILURES.labels(name).inc()
        self.kept = kept
        return Refreshed(tuple(changed), kept)

    def _tell_ages(self) -> None:
        """SE-1. In a cluster a file is as old as its mount: a new pod begins anew."""
        if self._folder is None:
            return
        for name in self._mounted:
            with contextlib.suppress(OSError):
                metrics.SECRET_WRITTEN.labels(name).set((self._folder / name).stat().st_mtime)

    def written_at(self) -> dict[str, datetime]:
        """When each secret that was read from a file was written, as far as the file tells (SE-1)."""
        if self._folder is None:
            return {}
        found = {}
        for name in sorted(self._mounted):
            with contextlib.suppress(OSError):
                found[name] = datetime.fromtimestamp((self._folder / name).stat().st_mtime, UTC)
        return found

    def _read_file(self, name: str) -> str | None:
        if self._folder is None:
            return None
        path = self._folder / name
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(name, self._folder_says(name, error.strerror or "cannot be read")) from error
        if len(content) > _MAX_BYTES:
            raise self._unusable(name, self._folder_says(name, f"more than {_MAX_BYTES} bytes"))
        try:
            value = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            # Not chained: the error would carry the content.
            raise self._unusable(name, self._folder_says(name, "is no UTF-8 text")) from None
        if len(value) < MIN_LENGTH:
            raise self._unusable(name, self._folder_says(name, f"shorter than {MIN_LENGTH} characters"))
        return value

    def _take_from_environment(self, name: str) -> str | None:
        value = self._environ.get(name)
        if value is None or not value:
            return None
        if len(value) < MIN_LENGTH:
            place = f"environment: shorter than {MIN_LENGTH} characters"
            raise self._unusable(name, self._folder_says(name, "no such file"), place)
        with contextlib.suppress(KeyError):
            del self._environ[name]
        return value

    def _folder_says(self, name: str, what: str) -> str:
        return f"folder: {SECRETS_DIR} is not set" if self._folder is None else f"file {self._folder / name}: {what}"

    def _unusable(self, name: str, *looked_at: str) -> SecretUnavailable:
        places = looked_at if len(looked_at) > 1 else (*looked_at, "environment: not looked at, the file comes first")
        return SecretUnavailable(name, places)


class Refreshed:
    """What a refresh found: `changed` names have a new value; `kept` names their last good one, with the reason."""

    __slots__ = ("changed", "kept")

    def __init__(self, changed: tuple[str, ...], kept: dict[str, str]) -> None:
        self.changed = changed
        self.kept = kept

    def __repr__(self) -> str:
        return f"Refreshed(changed={self.changed!r}, kept={self.kept!r})"
