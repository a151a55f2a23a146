"""SE-2, invariant 17: no secret of a run is anywhere but in its own files.

One short run with everything that handles secrets in it: logins, refused tokens, broker calls. Then every file it left
is searched, and the environment and the arguments of its processes while they lived.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.integration import visitor
from tests.integration.stack import Stack, eventually, running

pytestmark = pytest.mark.stack

WINDOW = ("--speed", "max", "--from", "2013-10-08T13:30:00Z", "--to", "2013-10-08T14:00:00Z")
OWN_PLACES = ("secrets", "certificates", "admin.token", "nats/nats-server.conf")
"""Where secrets stand by design, readable by their owner alone."""
NOT_OURS = {
    "ALPACA_API_KEY": "PKOFTHEPERSONATTHETERMINAL",  # pragma: allowlist secret
    "ALPACA_SECRET_KEY": "secret-of-the-person-at-the-terminal",
    "NATS_TOKEN": "token-of-the-person-at-the-terminal",
}
"""In the environment of whoever starts a paper run: no child needs the keys."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left, and what its processes showed while they lived."""

    folder: Path
    output: Path
    secrets: dict[str, str]
    environments: dict[str, bytes]
    arguments: dict[str, bytes]
    metrics: dict[str, str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("secrets")
    with running(folder, *WINDOW, environment=NOT_OURS) as stack:
        eventually(lambda: (s := stack.venue("status")) and s["ended"] and s["settled"], "the end of the recording")
        secrets = _secrets(stack)
        _use_them(stack)
        pids = visitor.pids(stack)
        environments = {name: Path(f"/proc/{pid}/environ").read_bytes() for name, pid in pids.items()}
        arguments = {name: Path(f"/proc/{pid}/cmdline").read_bytes() for name, pid in pids.items()}
        metrics = {
            name: visitor.http(f"http://{address}/metrics").text
            for name, address in stack.settings["endpoints"].items()
            if name.endswith(".metrics")
        }
        report = visitor.report_of(stack)
    (folder / "report.json").write_text(json.dumps(report))
    return Run(
        folder=stack.folder.resolve(),
        output=folder,
        secrets=secrets,
        environments=environments,
        arguments=arguments,
        metrics=metrics,
    )


def _secrets(stack: Stack) -> dict[str, str]:
    """Every secret of the run by a name, private keys included."""
    found = {f"{file.parent.name}/{file.name}": file.read_text() for file in (stack.folder / "secrets").rglob("*/*")}
    for key in (stack.folder / "certificates").glob("*.key"):
        # The second line of a PEM is the key itself.
        found[key.name] = key.read_text().splitlines()[1]
    return found | {f"the caller's {name}": value for name, value in NOT_OURS.items() if name != "NATS_TOKEN"}


def _use_them(stack: Stack) -> None:
    """Everywhere a person or a service shows a secret, rightly and wrongly."""
    token = (stack.folder / "admin.token").read_text()
    right = {"Authorization": f"Bearer {token}"}
    assert visitor.http(visitor.admin(stack, "/api/v1/status"), headers=right).status == 200
    # In the wrong places: where a path, a query or another scheme carries it, it may not be told on either.
    for address in (f"/api/v1/{token}", f"/api/v1/status?token={token}"):
        visitor.http(visitor.admin(stack, address), headers=right)
    visitor.http(visitor.admin(stack, "/api/v1/status"), headers={"Authorization": f"Basic {token}"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    visitor.http(visitor.admin(stack, "/login"), body=f"token={token}&name=somebody".encode(), headers=form)
    visitor.http(visitor.admin(stack, "/login"), body=f"token={token}x&name={token}".encode(), headers=form)
    body = json.dumps({"reason": token, "unknown": token}).encode()
    visitor.http(visitor.admin(stack, "/api/v1/nothing"), body=body, headers=right)
    key, secret = (visitor.secret(stack, "papermarket", name) for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"))
    for keys in ((key, secret), (secret, key)):
        headers = {"APCA-API-KEY-ID": keys[0], "APCA-API-SECRET-KEY": keys[1]}
        visitor.http(visitor.venue(stack, f"/v2/orders/{secret}"), headers=headers)
        visitor.http(visitor.venue(stack, "/v2/account"), headers=headers)


def forms(value: str) -> set[bytes]:
    """`value` as it may be written: plain, in a URL, in JSON, in base64 (of a header as well)."""
    texts = {value, quote(value), quote_plus(value), json.dumps(value)[1:-1]}
    return {text.encode() for text in texts} | {base64.b64encode(value.encode()).rstrip(b"=")[:-1]}


def leaks(secrets: dict[str, str], places: dict[str, bytes]) -> list[str]:
    wanted = {name: forms(value) for name, value in secrets.items()}
    return [
        f"{name} in {place}"
        for place, content in places.items()
        for name, written in wanted.items()
        if any(form in content for form in written)
    ]


def test_there_is_something_to_look_for_and_to_look_at(run: Run) -> None:
    assert {"admin/ADMIN_TOKEN", "gate/NATS_TOKEN", "signal/ALPACA_SECRET_KEY", "execution.key"} <= set(run.secrets)
    assert all(len(value) >= 16 for value in run.secrets.values())
    kinds = {path.suffix for path in visitor.files_below(run.folder)}
    assert {".jsonl", ".yaml", ".err", ".journal", ".blk"} <= kinds
    # The search finds them where they are.
    own = {str(path): path.read_bytes() for path in visitor.files_below(run.folder / "secrets")}
    assert len(leaks(run.secrets, own)) >= len(own)


def test_no_file_of_the_run_holds_a_secret(run: Run) -> None:
    """Logs, traces, the venue's journal, the ledger, stored messages, configuration, report and terminal."""
    places = {
        str(path.relative_to(run.output)): path.read_bytes()
        for path in visitor.files_below(run.output.resolve())
        if not any((run.folder / own) in (path, *path.parents) for own in OWN_PLACES)
    }
    assert {"report.json", "output.txt"} <= set(places)
    assert leaks(run.secrets, places) == []


def test_no_process_shows_a_secret_in_its_environment_or_arguments(run: Run) -> None:
    """SE-2: read from files, never inherited."""
    assert all(run.arguments.values())
    given = run.secrets | {"the caller's NATS_TOKEN": NOT_OURS["NATS_TOKEN"]}
    assert leaks(given, run.environments) == []
    assert leaks(given, run.arguments) == []


def test_no_metric_holds_a_secret(run: Run) -> None:
    assert len(run.metrics) == len(visitor.ALL_SERVICES)
    assert leaks(run.secrets, {name: text.encode() for name, text in run.metrics.items()}) == []


def test_what_secrets_stand_in_is_closed_to_others(run: Run) -> None:
    """SE-4"""
    files = [*visitor.files_below(run.folder / "secrets"), *(run.folder / "certificates").glob("*.key")]
    files += [run.folder / "admin.token", run.folder / "nats" / "nats-server.conf"]
    assert [str(path) for path in files if path.stat().st_mode & 0o077] == []
