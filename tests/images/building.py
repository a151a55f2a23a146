"""Images built as `make images` does, and what tests ask of them. Needs Docker; says so where it is missing."""

import gzip
import json
import os
import posixpath
import shutil
import subprocess
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY, TAG = "holdfast-test", "0.0.0-test"
BUILD_SECS = 800
"""Nothing may be in the engine's cache yet."""
LARGEST_BYTES = 250_000_000


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
    return subprocess.run([program, "info"], capture_output=True, timeout=120, check=False).returncode == 0


@lru_cache
def built(service: str) -> str:
    """The name of the service's image, built from this tree."""
    docker("version")
    words = ["make", "images", f"SERVICES={service}", f"REPOSITORY={REPOSITORY}", f"TAG={TAG}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return f"{REPOSITORY}/{service}:{TAG}"


def compressed_bytes(*images: str) -> dict[str, int]:
    """What each image weighs on the wire, by its name; a layer that several share is compressed once.

    At most: registries compress better than this.
    """
    weights: dict[str, int] = {}
    same: dict[str, str] = {}
    manifests: list[dict[str, Any]] = []
    with (
        subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved,
        tarfile.open(fileobj=saved.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if member.issym():
                same[member.name] = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
                continue
            content = archive.extractfile(member)
            if content is not None and member.name == "manifest.json":
                manifests = json.load(content)
            elif content is not None:
                weights[member.name] = _compressed(content)
    return {each["RepoTags"][0]: sum(weights[same.get(layer, layer)] for layer in each["Layers"]) for each in manifests}


def _compressed(content: IO[bytes]) -> int:
    size = 0
    while block := content.read(1 << 22):
        size += len(gzip.compress(block, compresslevel=3))
    return size
