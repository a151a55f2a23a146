"""A release that anybody changed after it was signed is refused by the commands that docs/release.md gives (SE-6)."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.images.building import REPOSITORY, ROOT, TAG, built, docker

SIGNER = "release@holdfast"


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed"
        pytest.fail(reason) if os.environ.get("HOLDFAST_REQUIRE_CLOUD_TOOLS") else pytest.skip(reason)
    return found


def new_key(path: Path) -> Path:
    make = [needed("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", SIGNER, "-f", str(path)]
    subprocess.run(make, check=True, timeout=30)
    return path


def released(folder: Path, *services: str) -> Path:
    """The artefacts of these services, signed with `folder`/key; `folder`/allowed_signers trusts that key alone."""
    needed("helm")
    key = new_key(folder / "key")
    (folder / "allowed_signers").write_text(f"{SIGNER} {(folder / 'key.pub').read_text()}")
    tool = [sys.executable, str(ROOT / "tools/release.py"), "--version", TAG, "--repository", REPOSITORY]
    command = [*tool, "--services", *services, "--key", str(key), "--out", str(folder / TAG)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / TAG


def verified(artefacts: Path) -> bool:
    """What docs/release.md tells the person who deploys to run, word by word."""
    text = (ROOT / "docs/release.md").read_text()
    found = re.search(r"```sh\n(ssh-keygen -Y verify .*?)```", text, re.DOTALL)
    assert found is not None
    shell = ["/bin/sh", "-c", found.group(1)]
    environment = {**os.environ, "SIGNERS": str(artefacts.parent / "allowed_signers")}
    return subprocess.run(shell, cwd=artefacts, env=environment, capture_output=True, timeout=30).returncode == 0


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    return released(tmp_path)


def test_a_release_as_it_was_signed_verifies(artefacts: Path) -> None:
    assert verified(artefacts)
    assert {path.name for path in artefacts.iterdir()} == {
        f"holdfast-{TAG}.tgz",
        "images.json",
        "values-images.yaml",
        "SHA256SUMS",
        "SHA256SUMS.sig",
    }


def test_a_changed_artefact_is_refused(artefacts: Path) -> None:
    chart = artefacts / f"holdfast-{TAG}.tgz"
    chart.write_bytes(chart.read_bytes() + b"\0")

    assert not verified(artefacts)


def test_a_missing_artefact_is_refused(artefacts: Path) -> None:
    (artefacts / "images.json").unlink()

    assert not verified(artefacts)


def test_a_changed_artefact_is_refused_with_its_checksum_made_to_fit(artefacts: Path) -> None:
    values = artefacts / "values-images.yaml"
    old = subprocess.run(["sha256sum", values.name], cwd=artefacts, capture_output=True, text=True, check=True).stdout
    values.write_text("image: {registry: elsewhere}\n")
    new = subprocess.run(["sha256sum", values.name], cwd=artefacts, capture_output=True, text=True, check=True).stdout
    sums = artefacts / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(old, new))

    assert not verified(artefacts)


def test_a_release_signed_with_another_key_is_refused(artefacts: Path, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other")
    (artefacts / "SHA256SUMS.sig").unlink()
    sign = [needed("ssh-keygen"), "-q", "-Y", "sign", "-n", "holdfast-release", "-f", str(other), "SHA256SUMS"]
    subprocess.run(sign, cwd=artefacts, check=True, capture_output=True, timeout=30)

    assert not verified(artefacts)


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_bill_of_materials_names_exactly_what_the_image_has(tmp_path: Path) -> None:
    """SE-6: each Python package by version and hash, and the system's packages; the chart is pinned to the image."""
    image = built("gate")
    ask = "import importlib.metadata as m; print(*(f'{d.name} {d.version}' for d in m.distributions()), sep='\\n')"
    installed = docker("run", "--rm", "--entrypoint", "python", image, "-c", ask).stdout.splitlines()

    artefacts = released(tmp_path, "gate")

    bill = json.loads((artefacts / "gate.cdx.json").read_text())
    python = [part for part in bill["components"] if not part.get("purl", "").startswith("pkg:deb/")]
    named = {f"{part['name']} {part['version']}" for part in python} | {f"holdfast-gate {version_of('gate')}"}
    assert {normal(each) for each in installed} == {normal(each) for each in named}
    assert any(part["name"] == "libc6" for part in bill["components"])
    assert all("externalReferences" in part for part in python if not part["name"].startswith("holdfast-"))
    facts = json.loads((artefacts / "images.json").read_text())["images"]["gate"]
    assert facts["id"] == docker("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()
    pinned = yaml.safe_load((artefacts / "values-images.yaml").read_text())["image"]
    assert (pinned["repository"], pinned["tag"]) == (REPOSITORY, TAG)
    assert verified(artefacts)


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package.partition(" ")[0]).lower() + " " + package.partition(" ")[2]


def version_of(service: str) -> str:
    text = (ROOT / "services" / service / "pyproject.toml").read_text()
    found = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    return found.group(1)
