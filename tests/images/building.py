"""Images built as `make images` does, for the tests of this folder. Needs Docker; says so where it is missing."""

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY, TAG = "holdfast-test", "0.0.0-test"
BUILD_SECS = 290


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Skips the test where no engine answers, and fails it where HOLDFAST_REQUIRE_DOCKER says that one must."""
    found = shutil.which("docker")
    if found is None or not _answers(found):
        reason = "no Docker engine answers"
        if os.environ.get("HOLDFAST_REQUIRE_DOCKER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return subprocess.run([found, *words], capture_output=True, text=True, timeout=BUILD_SECS, check=check)


@lru_cache
def _answers(program: str) -> bool:
    return subprocess.run([program, "info"], capture_output=True, timeout=30, check=False).returncode == 0


@lru_cache
def built(service: str) -> str:
    """The name of the service's image, built from this tree."""
    docker("version")
    words = ["make", "images", f"SERVICES={service}", f"REPOSITORY={REPOSITORY}", f"TAG={TAG}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return f"{REPOSITORY}/{service}:{TAG}"
