"""Each safeguard that the world is known to watch stands in the source (TS-4); `make mutants` takes them out."""

import importlib.util
from pathlib import Path

import pytest

from holdfast_simulation.cases import CASES, Case
from holdfast_simulation.mutants import hunt, mutated, named
from holdfast_simulation.safeguards import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_safeguard_stands_once_where_it_is_taken_out(mutant: Mutant) -> None:
    spec = importlib.util.find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()

    without = mutated(mutant, source)

    assert without != source
    compile(without, spec.origin, "exec")


def test_every_mutant_has_a_name_of_its_own() -> None:
    assert [named(mutant.name) for mutant in MUTANTS] == list(MUTANTS)
    assert len(MUTANTS) >= 25


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_everything_holds_where_nothing_is_taken_out(case: Case) -> None:
    outcome = case.live()

    assert outcome.violations == ()
    assert all(outcome.fired[fault.kind] for fault in case.plan.faults)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_safeguard_that_is_taken_out_is_noticed_by_its_life(mutant: Mutant) -> None:
    """TS-4. `make mutants` asks the other lives, too."""
    assert (hunt(mutant.name, everywhere=False) or "").startswith(f"{mutant.life}: ")
