"""What a change must pass, per push and at night: the looks for holes, the coverage, the searches (TS-6, TS-7)."""

import importlib.util
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOLES = {
    "code": "import subprocess\n\nsubprocess.run('ls ' + input(), shell=True)\n",
    "secrets": "-----BEGIN RSA " + "PRIVATE KEY-----\n",
}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/audit.py, looking at a tree of its own with one clean module."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / "tools" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for folder in ("libs", "services", "tools", "deploy"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "libs" / "fine.py").write_text("ANSWER = 42\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    return module


@pytest.mark.parametrize("look", HOLES)
def test_a_hole_in_the_code_and_a_secret_in_the_tree_are_found(audit: ModuleType, tmp_path: Path, look: str) -> None:
    """TS-6, SE-6."""
    assert audit.LOOKS[look]() == audit.Verdict.CLEAN
    (tmp_path / "libs" / "hole.py").write_text(HOLES[look])
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert audit.LOOKS[look]() == audit.Verdict.FOUND


def commands(target: str) -> str:
    """What `make` would run for it, from this tree as it is."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, env=outer, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_push_is_linted_typed_audited_tested_and_covered() -> None:
    """TS-6, TS-7: `make test` is what CI runs; below the threshold coverage fails."""
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
    told = commands("test")
    for gate in ("ruff check", "mypy ", "audit.py code secrets", "pytest\n", "--cov "):
        assert gate in told, gate
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["coverage"]["report"]["fail_under"] >= 92


def test_the_night_audits_the_lock_searches_deeper_and_injects_every_fault() -> None:
    """TS-6, TS-7: advisories, random seeds, simulation, mutants and the hours of chaos."""
    told = commands("nightly")
    for run in ("audit.py\n", "HOLDFAST_SEEDS=", "simulate --seeds ", "simulation.mutants", "HOLDFAST_ALL_FAULTS=1"):
        assert run in told, run
