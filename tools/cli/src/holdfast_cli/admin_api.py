"""Admin's JSON API as the terminal calls it: with the token, in the name of whoever types, so that the audit has it."""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from holdfast_cli.plan import dashboard_url
from holdfast_cli.stack_calls import files_of_run
from holdfast_runtime.config import InvalidConfiguration, load_settings
from holdfast_runtime.errors import Code, Refused, Retry

TOKEN = "ADMIN_TOKEN"
TIMEOUT_SECS = 15.0
CODES = {
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.FAILED_PRECONDITION,
    422: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
}
"""What a status says of a request that is refused; any other one means that admin cannot answer now."""


class AdminApi:
    """Calls to one stack's admin. Each raises Refused with admin's own code and words, or Retry."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str) -> Any:
        """What /api/v1/`path` answers."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """The same of an action."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        try:
            answer = self._client.request(method, f"/api/v1/{path}", json=body)
            told = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Retry(f"admin at {self._client.base_url} does not answer: {error}") from error
        if answer.is_success:
            return told
        code, message = told.get("code", f"HTTP_{answer.status_code}"), told.get("message", "")
        if answer.status_code in CODES:
            raise Refused(CODES[answer.status_code], code, message)
        raise Retry(message)


def typist() -> str:
    """Who types, for the audit: the login's name, or its number where it has none, as in a pod."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@contextmanager
def admin_at(base: str, token: str) -> Iterator[AdminApi]:
    """The admin whose dashboard is at `base`. Raises Refused where that is no address."""
    headers = {"Authorization": f"Bearer {token}", "X-Operator": typist()}
    try:
        client = httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT_SECS, trust_env=False)
    except httpx.InvalidURL as error:
        raise Refused(Code.INVALID_ARGUMENT, "ADDRESS_INVALID", f"{base}: {error}") from error
    with client:
        yield AdminApi(client)


@contextmanager
def admin_of_run(folder: Path) -> Iterator[AdminApi]:
    """The admin of a run of `holdfast up`. Raises Retry where the run has not come so far yet."""
    try:
        settings = load_settings(files_of_run(folder).config, {}, None)
        token = (folder / "admin.token").read_text()
    except (OSError, InvalidConfiguration) as error:
        raise Retry(f"{folder} has no admin yet: {error}") from error
    with admin_at(dashboard_url(settings), token) as api:
        yield api
