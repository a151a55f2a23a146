"""Why a service did not start stands where a person looks for it, not in a restart loop that hides it (SE-4)."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from holdfast_runtime.identity import Authority

SERVICE = """
from holdfast_runtime.service import Shell, run

async def build(shell: Shell) -> None:
    shell.secrets.get("ADMIN_TOKEN")

run("gate", build)
"""
CONFIGURATION = """
state_dir: {folder}
venue: {{kind: alpaca}}
endpoints: {{gate: "127.0.0.1:0", gate.health: "127.0.0.1:0"}}
"""


def ended(folder: Path, configuration: str = CONFIGURATION, **environment: str) -> tuple[int, str, str]:
    """Exit code, what stands on stderr, and the termination message."""
    file, message = folder / "holdfast.yaml", folder / "termination-log"
    file.write_text(configuration.format(folder=folder))
    message.write_text("of the run before")
    environment |= {
        "PATH": os.environ["PATH"],
        "HOLDFAST_CONFIG": str(file),
        "HOLDFAST_TERMINATION_LOG": str(message),
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVICE], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    return done.returncode, done.stderr, message.read_text()


def test_a_missing_secret_is_named_with_both_places_and_what_to_do(tmp_path: Path) -> None:
    Authority(now=datetime.now(UTC)).write(tmp_path / "certificates", ["gate"])
    code, said, message = ended(tmp_path, HOLDFAST_SECRETS_DIR=str(tmp_path / "secrets"))
    assert code == 77
    assert f"ADMIN_TOKEN is not available: file {tmp_path}/secrets/ADMIN_TOKEN: no such file" in message
    assert "environment: not set" in message
    assert "  - start again" in message
    assert message in said


def test_a_missing_certificate_is_named_with_its_file(tmp_path: Path) -> None:
    code, _, message = ended(tmp_path)
    assert code == 77
    assert message.startswith(f"holdfast gate: {tmp_path}/certificates/gate.crt: No such file")


def test_a_configuration_that_is_refused_is_told_with_its_key(tmp_path: Path) -> None:
    code, _, message = ended(tmp_path, CONFIGURATION + "gat: {{}}\n")
    assert code == 78
    assert "gat: unknown key" in message


def test_no_secret_is_told(tmp_path: Path) -> None:
    """SE-2"""
    wrong = CONFIGURATION + "execution: {{ledger_url: 'postgresql://holdfast:hunter2@db/x', max_retries: 9}}\n"
    code, said, message = ended(tmp_path, wrong)
    assert code == 78
    assert "max_retries" in message
    assert "hunter2" not in said + message
