"""While one release replaces another, a gate that is not understood opens nothing, closes everything (SQ-8, IN-7)."""

from typing import Any

import pytest

from holdfast_runtime import calls, revisions
from holdfast_runtime.revisions import OWN, Revisions

OLDER = Revisions(spoken=OWN.spoken - 1, oldest=OWN.oldest - 1)
NEWER = Revisions(spoken=OWN.spoken + 1, oldest=OWN.spoken + 1)
GROWN = Revisions(spoken=OWN.spoken + 1, oldest=OWN.oldest)


def called_by_gate_of(release: Revisions) -> None:
    calls.enter(calls.Call(caller="gate", deadline_secs=float("inf"), revisions=release))


@pytest.mark.parametrize("release", [OLDER, NEWER, Revisions.read("")])
async def test_entries_of_a_release_that_is_not_understood_are_refused_and_exits_go_on(
    desk: Any, release: Revisions
) -> None:
    await desk.enter()
    await desk.minute(1)
    called_by_gate_of(release)
    answer = await desk.submit(desk.decision("IBM"))
    (entry,) = answer.decisions
    assert (entry.allowed, entry.reason) == (False, revisions.INCOMPATIBLE)
    assert dict(entry.verdicts[-1].numbers) == {"caller": str(release), "execution": str(OWN)}
    answer = await desk.submit(desk.decision("SPY", exit_=True))
    assert answer.decisions[0].allowed
    await desk.settled()
    await desk.minute(2)
    assert (await desk.position()).quantity == 0


@pytest.mark.parametrize("release", [OWN, GROWN])
async def test_a_release_that_has_only_grown_is_understood(desk: Any, release: Revisions) -> None:
    called_by_gate_of(release)
    assert (await desk.submit(desk.decision("IBM"))).decisions[0].allowed
