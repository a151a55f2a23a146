"""What tests/images asks of one image holds for every one that is installed here (SE-6)."""

import json

import pytest

from tests.e2e.release import SERVICES
from tests.images.building import LARGEST_BYTES, compressed_bytes, docker

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def built(images: str) -> list[str]:
    return [f"holdfast/{each}:{images}" for each in (*SERVICES, "cli", "simulation")]


def test_every_image_runs_a_program_as_nobody(built: list[str]) -> None:
    """A numeric user, which `runAsNonRoot` can check, and no shell. That roots are read-only shows in their pods."""
    found = json.loads(docker("image", "inspect", *built).stdout)
    users = {(each["Config"]["User"], *each["Config"]["Entrypoint"]) for each in found}
    assert users == {("10001:10001", "/opt/holdfast/bin/start")}


def test_every_image_is_small(built: list[str]) -> None:
    weights = compressed_bytes(*built)
    assert sorted(weights) == sorted(built)
    assert {image: weight for image, weight in weights.items() if not 0 < weight < LARGEST_BYTES} == {}
