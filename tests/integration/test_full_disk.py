"""A full disk: nothing is lost or doubled, it is named, and trading goes on once there is room (FP-6.4, FI-1)."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import DAY, LOCKSTEP
from tests.integration.stack import HOLDFAST, Stack, assert_alike, eventually, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SIZE = "24m"
TICK = 40


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system. Skips where nobody may mount one, unless HOLDFAST_REQUIRE_MOUNT says that it must."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        reason = f"no file system of a given size can be mounted here: {mounted.stderr.strip()}"
        if os.environ.get("HOLDFAST_REQUIRE_MOUNT") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leaves not one byte of room; returns the file that took it."""
    file = disk / "filler"
    with file.open("wb", buffering=0) as filler:
        for size in (65536, 1):
            try:
                while True:
                    filler.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return file


def open_points(stack: Stack) -> str:
    """What `holdfast ready` says."""
    return subprocess.run(
        [str(HOLDFAST), "ready", "--state-dir", str(stack.state_dir)], capture_output=True, text=True
    ).stdout


def test_a_ledger_without_room_trades_nothing_is_named_and_goes_on(
    disk: Path, undisturbed_day: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    ledger = {"HOLDFAST__EXECUTION__LEDGER_URL": f"sqlite:///{disk}/ledger.db"}
    with running(tmp_path, *LOCKSTEP, *DAY, environment=ledger) as stack:
        stack.wait_for_tick(TICK)
        filler = fill(disk)
        try:
            eventually(
                lambda: (said := open_points(stack)).startswith("RED") and "the ledger's database" in said,
                "`holdfast ready` is RED and names the database",
            )
        finally:
            filler.unlink()
        report = stack.report()
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert_alike(report, undisturbed_day[0])
