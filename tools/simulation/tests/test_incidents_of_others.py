"""What has gone wrong in other trading systems does not go wrong here: each of the fifteen, lived through (TS-3)."""

import pytest

from holdfast_simulation.incidents import INCIDENTS, Incident, named


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: incident.name)
def test_an_incident_of_another_system_does_not_happen(incident: Incident) -> None:
    outcome = incident.live()

    assert outcome.violations == (), f"{incident.happened} ({incident.source})"
    assert all(outcome.fired[fault.kind] for fault in incident.plan.faults)


def test_every_incident_has_a_name_of_its_own() -> None:
    assert [named(incident.name) for incident in INCIDENTS] == list(INCIDENTS)
    assert len(INCIDENTS) == 15
