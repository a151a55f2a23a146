"""The ledger's address comes from the secret store, and its password is shown nowhere (SE-2, SE-4)."""

from pathlib import Path

import pytest

from holdfast_runtime.ledger_halts import ledger_url
from holdfast_runtime.secrets import SECRETS_DIR, SecretStore, SecretUnavailable, hide_registered
from holdfast_runtime.settings import ExecutionSettings, Settings

ADDRESS = "postgresql://holdfast:p%40ss-of-the-ledger@db:5432/holdfast?sslmode=verify-full&sslrootcert=/ca.crt"


def settings(url: str = "") -> Settings:
    return Settings(execution=ExecutionSettings(ledger_url=url), state_dir=Path("/state"))


def store(folder: Path, **values: str) -> SecretStore:
    for name, value in values.items():
        (folder / name).write_text(value + "\n")
    return SecretStore({SECRETS_DIR: str(folder)})


@pytest.mark.parametrize("configured", ["", "secret", "postgresql://elsewhere/holdfast"])
def test_the_secret_goes_before_what_is_configured(tmp_path: Path, configured: str) -> None:
    assert ledger_url(settings(configured), store(tmp_path, LEDGER_URL=ADDRESS)) == ADDRESS


def test_without_the_secret_the_configured_address_holds_and_else_a_file_of_the_state_folder(tmp_path: Path) -> None:
    assert ledger_url(settings("sqlite:///x.db"), store(tmp_path)) == "sqlite:///x.db"
    assert ledger_url(settings(), store(tmp_path)) == "sqlite:////state/ledger.db"


def test_where_the_address_must_be_secret_nothing_takes_its_place(tmp_path: Path) -> None:
    """SE-4: named, with both places looked at, instead of an empty ledger in a pod's own folder."""
    with pytest.raises(SecretUnavailable, match=r"LEDGER_URL .*no such file.*environment"):
        ledger_url(settings("secret"), store(tmp_path))


def test_the_password_alone_is_hidden_too(tmp_path: Path) -> None:
    """SE-2: a driver's error may name it without the address around it, quoted or not."""
    ledger_url(settings(), store(tmp_path, LEDGER_URL=ADDRESS))
    shown = hide_registered("refused: p@ss-of-the-ledger; p%40ss-of-the-ledger")
    assert "of-the-ledger" not in shown
