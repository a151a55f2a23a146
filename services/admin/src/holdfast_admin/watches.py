"""What admin's sentinel looks at: who knocks."""

from collections.abc import Callable

from holdfast_admin.release_watch import ReleaseWatch
from holdfast_admin.web.access import Verdict
from holdfast_catalogue.gauges import Growth, total
from holdfast_catalogue.registry import point
from holdfast_catalogue.sentinel import Watch
from holdfast_catalogue.standing import Finding, error, ok, warn
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics

LATELY_SECS = 600.0
REFUSED_TO_ALARM = 10


def watches(monotonic: MonotonicClock, release: ReleaseWatch) -> list[Watch]:
    """One watch for each of admin's points."""
    return [
        Watch(point=point("login.refused"), detect=_refused(monotonic)),
        Watch(point=point("release.drifted"), detect=release.detect),
    ]


def _refused(monotonic: MonotonicClock) -> Callable[[], Finding]:
    def count() -> float:
        return sum(total(metrics.ADMIN_LOGINS, outcome=each.value) for each in (Verdict.REFUSED, Verdict.LIMITED))

    tries = Growth(count, monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        found = tries()
        text = f"{found:.0f} wrong tokens within the last 10 minutes"
        if found >= REFUSED_TO_ALARM:
            return error(text, wrong=f"{found:.0f}")
        return warn(text, wrong=f"{found:.0f}") if found else ok("nobody came with a wrong token", wrong="0")

    return detect
