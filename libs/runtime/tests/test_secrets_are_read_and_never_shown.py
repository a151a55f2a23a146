"""Secrets: two places, last good value kept, clear errors, no way to print one (SE-1, SE-2, SE-4, IN-6)."""

import copy
import os
import pickle
from pathlib import Path

import pytest

from holdfast_runtime.errors import AskPerson
from holdfast_runtime.secrets import SECRETS_DIR, Secret, SecretStore, SecretUnavailable
from holdfast_runtime.telemetry import metrics


def test_the_mounted_file_comes_before_the_environment(tmp_path: Path) -> None:
    (tmp_path / "ALPACA_API_KEY").write_text("from-the-file\n")
    store = SecretStore({SECRETS_DIR: str(tmp_path), "ALPACA_API_KEY": "from-environment"})
    assert store.get("ALPACA_API_KEY").reveal() == "from-the-file"


def test_a_value_from_the_environment_is_gone_from_it() -> None:
    environ = {"ALPACA_API_KEY": "from-environment", "HOME": "/home/x"}
    store = SecretStore(environ)
    assert store.get("ALPACA_API_KEY").reveal() == "from-environment"
    assert environ == {"HOME": "/home/x"}
    assert store.get("ALPACA_API_KEY").reveal() == "from-environment"


def test_a_missing_secret_names_itself_and_both_places(tmp_path: Path) -> None:
    """SE-4"""
    with pytest.raises(SecretUnavailable) as caught:
        SecretStore({SECRETS_DIR: str(tmp_path)}).get("ALPACA_SECRET_KEY")
    assert isinstance(caught.value, AskPerson)
    assert "ALPACA_SECRET_KEY" in str(caught.value)
    assert f"file {tmp_path / 'ALPACA_SECRET_KEY'}: no such file" in str(caught.value)
    assert "environment: not set" in str(caught.value)
    assert caught.value.steps
    assert SecretStore({}).optional("ALPACA_SECRET_KEY") is None


@pytest.mark.parametrize("content", [b"", b"\n", b"abc", b"\xff\xfe secret bytes", b"x" * 70_000])
def test_an_unusable_file_is_an_error_and_not_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "TOKEN").write_bytes(content)
    store = SecretStore({SECRETS_DIR: str(tmp_path), "TOKEN": "from-environment"})
    with pytest.raises(SecretUnavailable, match="TOKEN") as caught:
        store.optional("TOKEN")
    assert "secret bytes" not in repr(caught.value)


def test_a_rotated_secret_is_picked_up_by_refresh(tmp_path: Path) -> None:
    """SE-1"""
    (tmp_path / "TOKEN").write_text("first-value")
    store = SecretStore({SECRETS_DIR: str(tmp_path)})
    store.get("TOKEN")
    (tmp_path / "TOKEN").write_text("second-value")
    assert store.get("TOKEN").reveal() == "first-value"
    assert store.refresh().changed == ("TOKEN",)
    assert store.get("TOKEN").reveal() == "second-value"
    assert store.refresh().changed == ()


def test_how_old_a_mounted_secret_is_can_be_asked(tmp_path: Path) -> None:
    """SE-1"""
    path = tmp_path / "AGED_TOKEN"
    path.write_text("some-value")
    os.utime(path, (1_000_000, 1_000_000))
    store = SecretStore({SECRETS_DIR: str(tmp_path)})
    store.get("AGED_TOKEN")
    store.refresh()
    written = "holdfast_secret_written_timestamp_seconds"
    assert metrics.REGISTRY.get_sample_value(written, {"name": "AGED_TOKEN"}) == 1_000_000


@pytest.mark.parametrize("loss", ["gone", "empty"])
def test_the_last_good_value_outlives_its_place(tmp_path: Path, loss: str) -> None:
    """IN-6"""
    path = tmp_path / "TOKEN"
    path.write_text("good-value")
    store = SecretStore({SECRETS_DIR: str(tmp_path)})
    store.get("TOKEN")
    if loss == "gone":
        path.unlink()
    else:
        path.write_text("")
    failures = {"name": "TOKEN"}
    before = metrics.REGISTRY.get_sample_value("holdfast_secret_refresh_failures_total", failures) or 0.0
    refreshed = store.refresh()
    assert metrics.REGISTRY.get_sample_value("holdfast_secret_refresh_failures_total", failures) == before + 1
    assert refreshed.changed == ()
    assert str(path) in refreshed.kept["TOKEN"]
    assert store.get("TOKEN").reveal() == "good-value"


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "", "a b", ".."])
def test_a_name_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a secret"):
        SecretStore({SECRETS_DIR: str(tmp_path)}).get(name)


def test_a_secret_shows_itself_on_request_alone() -> None:
    """SE-2"""
    secret = Secret("hunter2-hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", f"{secret!r:>5}"):
        assert "hunter2" not in shown
        assert "***" in shown
    for write in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            write(secret)
    assert secret == Secret("hunter2-hunter2")
    assert secret != Secret("hunter3-hunter3")
    store = SecretStore({"TOKEN": "hunter2-hunter2"})
    store.get("TOKEN")
    assert "hunter2" not in repr(store)
