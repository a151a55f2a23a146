"""An image holds what its service needs and nothing that an intruder could use (SE-6)."""

import json

import pytest

from tests.images.building import LARGEST_BYTES, built, compressed_bytes, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

SERVICE = "gate"
INVALID_CONFIGURATION = 78
AS_IN_A_POD = ("run", "--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none")


def test_the_image_starts_its_service_as_nobody_and_without_a_shell() -> None:
    """SE-6: a numeric user, which `runAsNonRoot` can check, and a program as entry."""
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", built(SERVICE)).stdout)

    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["/opt/holdfast/bin/start"]
    assert not config["Cmd"]


def test_a_service_on_a_read_only_root_says_which_configuration_it_misses() -> None:
    """SE-6, CF-1: nothing is written at start, and exit 78 tells a wrong configuration from a crash."""
    config = "/etc/holdfast/holdfast.yaml"

    done = docker(*AS_IN_A_POD, "--env", f"HOLDFAST_CONFIG={config}", built(SERVICE), check=False)

    assert done.returncode == INVALID_CONFIGURATION, done.stdout + done.stderr
    assert f"file:{config}: cannot be read" in done.stderr


def test_every_module_was_compiled_when_the_image_was_built() -> None:
    """A read-only root keeps no bytecode: what is not compiled by then is compiled at every start."""
    ask = (
        "import importlib.util as u, pathlib, sysconfig\n"
        "for path in pathlib.Path(sysconfig.get_path('purelib')).rglob('holdfast*/**/*.py'):\n"
        "    if not pathlib.Path(u.cache_from_source(str(path))).exists(): print(path)\n"
    )

    assert docker(*AS_IN_A_POD, "--entrypoint", "python", built(SERVICE), "-c", ask).stdout == ""


def test_an_image_is_small() -> None:
    """At most 250 MB on the wire. `make e2e` and a release check this of every image."""
    image = built(SERVICE)
    assert 0 < compressed_bytes(image)[image] < LARGEST_BYTES
