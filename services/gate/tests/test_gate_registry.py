"""The registry as people and the catalogue read it."""

import re

from holdfast_gate.registry import GATES


def test_every_gate_has_a_name_of_its_own_a_title_and_a_reason_to_exist():
    assert len({gate.name for gate in GATES}) == len(GATES)
    for gate in GATES:
        assert re.fullmatch(r"[a-z_]+", gate.name)
        assert gate.title
        assert type(gate).__doc__, gate.name
        assert all(re.fullmatch(r"[A-Z]{2}-\d+(\.\d+)?", each) for each in gate.requirements), gate.name


def test_only_the_session_and_the_holding_stand_in_the_way_of_an_exit():
    """Order protocol, two kinds of orders."""
    assert [gate.name for gate in GATES if gate.applies_to_exits] == ["session", "holding"]


def test_priorities_are_those_of_the_source_documents():
    """PA-1: the kill switch is critical, full books and overlaps are high, buying power is P0, holidays are P1."""
    named = {gate.name: gate.priority for gate in GATES if gate.priority}
    assert named == {
        "kill_switch": "CRITICAL",
        "session": "P1",
        "symbol_halted": "P1",
        "feed": "LOW",
        "symbol_owner": "HIGH",
        "max_positions": "HIGH",
        "buying_power": "P0",
    }


def test_what_holds_for_the_whole_account_is_asked_before_what_settles_the_order():
    names = [gate.name for gate in GATES]
    assert names.index("kill_switch") < names.index("session") < names.index("feed") < names.index("collar")
    assert names[-4:] == ["collar", "size", "caps", "buying_power"]
