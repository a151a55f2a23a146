"""The image that Tilt builds (`--target dev`) starts its service, and starts it anew when sources were synced."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.images.building import REPOSITORY, ROOT, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

SERVICE = "gate"
IMAGE = f"{REPOSITORY}/{SERVICE}:dev"
CONFIG = "/etc/holdfast/holdfast.yaml"
STARTED = f"file:{CONFIG}: cannot be read"
"""What a service says of a configuration that is not there: it ran, with everything that it imports."""
LIMIT_SECS = 180.0


def eventually(look: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + LIMIT_SECS
    while not look():
        assert time.monotonic() < give_up, what
        time.sleep(0.5)


@pytest.fixture
def container() -> Iterator[str]:
    """A container of it, built as the Tiltfile says, under the rights that the chart's development pods have."""
    docker("version")
    done = docker(
        "build", "--quiet", "--file", str(ROOT / "deploy/Dockerfile"), "--target", "dev",
        "--build-arg", f"SERVICE={SERVICE}", "--tag", IMAGE, str(ROOT), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    limits = ("--cap-drop", "ALL", "--network", "none")
    name = docker("run", "--detach", *limits, "--env", f"HOLDFAST_CONFIG={CONFIG}", IMAGE).stdout.strip()
    yield name
    docker("rm", "--force", name)


def starts(container: str) -> int:
    """How often the service has started until now."""
    logs = docker("logs", container)
    return (logs.stdout + logs.stderr).count(STARTED)


def test_a_synced_source_is_run_after_a_restart_in_the_same_container(container: str) -> None:
    """A service that has ended is waited for until the next sync."""
    eventually(lambda: starts(container) == 1, "it starts")
    # As Tilt does it: sources go where they are imported from, then the mark is touched.
    source = f"/src/services/{SERVICE}/src/holdfast_{SERVICE}/__main__.py"
    docker("exec", container, "python", "-c", f"open({source!r}, 'w').write('print(\"synced\")')")
    docker("exec", container, "touch", "/src/.restart")
    eventually(lambda: "synced" in docker("logs", container).stdout, "the synced source runs")
    assert docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip() == "true"
