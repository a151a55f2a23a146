"""An upgrade loses no order, and one that cannot work leaves the old version trading (IN-7, CF-3)."""

import pytest

from tests.e2e.cluster import CommandFailed, eventually
from tests.e2e.release import NAME, READY_SECS, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
GIVE_UP_SECS = 45.0


def test_an_upgrade_with_a_changed_value_rolls_every_pod_and_loses_nothing(release: Release) -> None:
    with release.disturbed("upgrade with a changed value"):
        release.upgrade("--set", "config.telemetry.log_level=DEBUG")
    (configuration,) = release.cluster.get("configmap", "holdfast-configuration")
    assert "log_level: DEBUG" in configuration["data"]["holdfast.yaml"]


def test_a_broken_upgrade_leaves_the_old_version_trading_and_is_rolled_back(release: Release) -> None:
    """The images of the new version do not exist: nothing of it ever becomes ready."""
    with release.disturbed("a broken upgrade, and the rollback"):
        with pytest.raises(CommandFailed):
            release.upgrade("--set", "image.tag=does-not-exist", limit_secs=GIVE_UP_SECS)
        # The old version, while the new one still hangs.
        release.wait_until_it_moves_on()
        release.cluster.helm("rollback", NAME, "--wait", "--timeout", "4m", limit_secs=270)


def test_a_bad_rollout_that_nobody_looked_at_first_is_named_and_rolled_back(release: Release) -> None:
    """Without the look of its hooks the services that are ended first stay away: no trade until it is undone."""
    with release.disturbed("a bad rollout without hooks, and the rollback"):
        try:
            with pytest.raises(CommandFailed):
                release.upgrade("--set", "image.tag=does-not-exist", "--no-hooks", limit_secs=GIVE_UP_SECS)

            def away() -> bool:
                # Admin's own pod has its time to end.
                words = release.open_points()
                return words.startswith("RED") and "admin does not answer" in words

            eventually(away, "`holdfast ready` is RED and says that admin does not answer", READY_SECS)
        finally:
            release.cluster.helm("rollback", NAME, "--wait", "--timeout", "4m", limit_secs=270)


def test_a_value_that_cannot_work_is_refused_before_anything_changes(release: Release) -> None:
    before = release.cluster.helm("history", NAME, "--output", "json")
    with pytest.raises(CommandFailed, match="replicas must be 1"):
        release.upgrade("--set", "services.signal.replicas=2")
    assert release.cluster.helm("history", NAME, "--output", "json") == before
