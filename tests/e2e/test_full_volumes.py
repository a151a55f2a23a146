"""NATS without room: trading waits in a safe state that is named, and goes on (FP-6.4, FI-1)."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import WEEK, install_for_a_while, values_of
from tests.e2e.release import CHART, NAME, READY_SECS, Release, Row

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

ROOM = "256Mi"
BESIDE = "reload"
"""The container that stays while its store fails: it fills the volume, and makes room again."""
FILL = "dd if=/dev/zero of=/data/filler bs=64k; dd if=/dev/zero of=/data/filler bs=1 oflag=append conv=notrunc; true"


def cramped_chart(folder: Path) -> Path:
    """The chart, but its stores write to a volume in memory that is of its size on every cluster."""
    chart = folder / "holdfast"
    shutil.copytree(CHART, chart)
    for store in ("nats", "postgresql"):
        file = chart / f"templates/{store}.yaml"
        before, mark, _ = file.read_text().partition("  volumeClaimTemplates:\n")
        assert mark
        volume = f"        - name: data\n          emptyDir: {{medium: Memory, sizeLimit: {ROOM}}}\n"
        file.write_text(f"{before}{volume}{{{{- end }}}}\n")
    certificates = "    - {name: certificates, mountPath: /etc/holdfast/certificates, readOnly: true}\n"
    # JetStream promises its streams more than there is, as on a disk that somebody else fills.
    replace(chart / "templates/_nats.tpl", "  store_dir: /data\n", "  store_dir: /data\n  max_file_store: 4GB\n")
    replace(
        chart / "templates/_certificates.tpl", certificates, f"{certificates}    - {{name: data, mountPath: /data}}\n"
    )
    replace(chart / "templates/_certificates.tpl", "limits: {memory: 64Mi}", "limits: {memory: 512Mi}")
    return chart


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
    file.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def cramped(
    context: str,
    images: str,
    table: list[Row],
    undisturbed_week: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    """A release whose stores have little room, while it replays a week in lock-step."""
    folder = tmp_path_factory.mktemp("e2e-cramped")
    release = Release(
        Cluster(context, "holdfast-e2e-cramped"), values_of(images, WEEK), images, table, undisturbed_week,
        chart=cramped_chart(folder),
    )  # fmt: skip
    yield from install_for_a_while(release, folder)


def beside(release: Release, script: str) -> None:
    release.cluster.kubectl("exec", f"{NAME}-nats-0", "--container", BESIDE, "--", "sh", "-c", script)


def test_a_bus_without_room_is_named_and_trading_goes_on_once_there_is_some(cramped: Release) -> None:
    """Nothing is lost or doubled: every order is the undisturbed run's. And nobody has to restart anything."""

    def well() -> bool:
        return not cramped.open_points().startswith("RED")

    with cramped.disturbed("the volume of nats full until it is named, and room again", until=well):
        beside(cramped, FILL)
        try:
            eventually(
                lambda: (said := cramped.open_points()).startswith("RED") and "bus." in said,
                "`holdfast ready` is RED and names the bus",
                READY_SECS,
            )
        finally:
            beside(cramped, "rm /data/filler")
