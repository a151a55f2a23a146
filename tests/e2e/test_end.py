"""After everything: the week ends as it does undisturbed, and an uninstalled release leaves nothing."""

from typing import Any

import pytest

from tests.e2e.cluster import CommandFailed, eventually
from tests.e2e.release import NAME, Release, Row
from tests.integration.stack import assert_alike

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
REST_SECS = 600.0
KINDS = (
    "pods,deployments,statefulsets,jobs,cronjobs,services,configmaps,secrets,serviceaccounts,roles,rolebindings,"
    "networkpolicies,poddisruptionbudgets,persistentvolumeclaims"
)


def test_the_disturbed_week_ends_as_the_undisturbed_one(
    release: Release, undisturbed_week: dict[str, Any], table: list[Row]
) -> None:
    """Same orders, fills, decisions and money: no order was sent twice, and no cycle was lost."""
    report = release.report("--until-end", limit_secs=REST_SECS)
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert_alike(report, undisturbed_week)
    table.append(
        Row("the whole week", None, f"{len(report['orders'])} orders, equity {report['equity']}: as undisturbed")
    )


def test_an_uninstalled_release_leaves_nothing(release: Release) -> None:
    cluster = release.cluster
    cluster.helm("uninstall", NAME, "--wait", "--timeout", "3m", limit_secs=200)
    selector = f"app.kubernetes.io/instance={NAME}"

    def left() -> list[str]:
        found = cluster.kubectl("get", KINDS, "--selector", selector, "--output", "name").split()
        return [each for each in found if "e2e-" not in each]

    eventually(lambda: not left(), "nothing is left", 90)
    with pytest.raises(CommandFailed, match="not found"):
        cluster.helm("status", NAME)
