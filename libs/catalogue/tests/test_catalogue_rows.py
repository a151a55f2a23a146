"""The catalogue is whole: every row true to itself, to the requirements, to its proofs and to its page."""

import ast
from pathlib import Path

import pytest

from holdfast_catalogue import docs, requirements
from holdfast_catalogue.guard import WatchMissing, check_complete
from holdfast_catalogue.points import EVERY_SERVICE, FailurePoint, InvalidPoint, Severity
from holdfast_catalogue.registry import POINTS, SERVICES, of_service
from holdfast_catalogue.sentinel import Watch
from holdfast_catalogue.standing import ok

ROOT = Path(__file__).resolve().parents[3]


def valid(**changes) -> dict:
    row = {
        "id": "some.thing", "title": "Something breaks", "owner": "signal", "severity": Severity.HIGH,
        "covers": ("TL-1",), "detector": "looks", "healer": "heals", "manual_steps": ("look",), "proofs": ("x::y",),
    }  # fmt: skip
    return row | changes


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_point_has_an_id_of_its_own_and_an_owner_that_exists():
    assert len({each.id for each in POINTS}) == len(POINTS)
    assert {each.owner for each in POINTS} == {*SERVICES, EVERY_SERVICE}


def test_every_covered_requirement_exists():
    known = requirements.load()
    assert {name for each in POINTS for name in each.covers} <= known.keys()


@pytest.mark.parametrize("point", POINTS, ids=lambda each: each.id)
def test_what_proves_a_point_exists(point):
    """TH-3: every failure point is simulated by a test or drill that the catalogue names."""
    for proof in point.proofs:
        path, _, name = proof.partition("::")
        assert name in functions_of(ROOT / path), proof


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "nodots"},
        {"id": "Upper.case"},
        {"title": ""},
        {"detector": ""},
        {"healer": ""},
        {"why_no_healer": "because"},
        {"healer": "", "why_no_healer": "because", "max_attempts": 1},
        {"covers": ()},
        {"covers": ("TL-1", "TL-1")},
        {"manual_steps": ()},
        {"proofs": ()},
    ],
)
def test_a_row_that_contradicts_itself_is_refused_with_its_id(changes):
    """SH-1, SH-2: a detector, a healer or the reason why there is none, manual steps, and a proof."""
    with pytest.raises(InvalidPoint, match=changes.get("id", "some.thing")):
        FailurePoint(**valid(**changes))


def test_a_whole_row_is_taken():
    assert FailurePoint(**valid()).healer
    assert FailurePoint(**valid(healer="", why_no_healer="on purpose", intentional=True, manual_steps=())).intentional


def test_critical_priorities_of_the_documents_are_critical_here():
    """PA-1: what the documents call critical turns the system RED."""
    wrong = [each.id for each in POINTS if each.priority == "CRITICAL" and each.severity is not Severity.CRITICAL]
    assert not wrong


def test_a_service_must_watch_all_of_its_points_and_no_other():
    rows = of_service("signal")
    watches = [
        Watch(point=each, detect=ok, heal=_nothing if each.max_attempts else None) for each in rows
    ]  # fmt: skip
    check_complete("signal", watches)
    with pytest.raises(WatchMissing, match=watches[0].point.id):
        check_complete("signal", watches[1:])
    with pytest.raises(WatchMissing, match="not its own"):
        check_complete("scoring", watches)


def test_the_page_is_generated_from_the_registry():
    assert (ROOT / "docs/failure-points.md").read_text() == docs.render()


async def _nothing() -> None:
    return None
