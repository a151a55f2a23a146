"""Whatever papermarket can be told to do wrong is in one of the recorded hours (TS-3)."""

from holdfast_exchange.faults.kinds import KINDS
from holdfast_exchange.faults.plan import fault_from
from tests.drills.fault_plans import AFTER, BEFORE, HOURS


def test_every_kind_of_fault_has_its_hour() -> None:
    assert {fault_from(hour.fault).kind for hour in HOURS} == set(KINDS)


def test_every_refusal_and_failure_of_http_has_its_hour() -> None:
    """What an answer of 5xx leaves open differs by whether the venue had taken the order."""
    found = {(hour.fault["status"], hour.fault["when"]) for hour in HOURS if hour.fault["kind"] == "http_error"}
    refusals = {(status, BEFORE) for status in (401, 403, 422, 429)}
    assert found == refusals | {(status, when) for status in (500, 502, 503, 504) for when in (BEFORE, AFTER)}


def test_no_hour_is_there_twice() -> None:
    assert len({hour.name for hour in HOURS}) == len(HOURS)
