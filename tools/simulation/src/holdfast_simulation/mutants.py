"""Safeguards taken out one at a time: the simulation must notice each, or it would not notice when one is lost.

A mutant is a piece of a service's source, replaced while the module is imported. `make mutants` looks for a life that
catches each.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, ModuleType

from holdfast_simulation.safeguards import MUTANTS, Mutant

TRIES = 60
"""Seeds that may catch a mutant, after all that is written: the same ones for each."""
OWN = "--own"
SAVED = Path(__file__).parents[2] / "tests" / "plans"


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._mutant = mutant

    def source_to_code(self, data: object, path: object, *_: object, **__: object) -> CodeType:  # type: ignore[override]  # the stub has overloads
        assert isinstance(data, bytes)
        return compile(mutated(self._mutant, data.decode()), str(path), "exec", dont_inherit=True)

    def get_code(self, fullname: str) -> CodeType:
        # Not from a cache of compiled files, and not into one.
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname, found.origin, loader=_Loader(self._mutant, found.origin)
        )


def mutated(mutant: Mutant, source: str) -> str:
    """The source without the safeguard. Raises ValueError where it does not stand there exactly once."""
    if source.count(mutant.safeguard) != 1:
        raise ValueError(f"{mutant.name}: found {source.count(mutant.safeguard)} times in {mutant.module}")
    return source.replace(mutant.safeguard, mutant.without)


def install(mutant: Mutant) -> None:
    """From here on the module is imported without its safeguard. Call it before anything imports it."""
    if mutant.module in sys.modules:
        raise RuntimeError(f"{mutant.module} is imported already")
    sys.meta_path.insert(0, _Finder(mutant))


def named(name: str) -> Mutant:
    """Raises KeyError."""
    return {mutant.name: mutant for mutant in MUTANTS}[name]


def hunt(name: str, *, everywhere: bool = True) -> str | None:
    """The life that catches a mutant and what it violates, told by a fresh process; None where none of them does.

    The mutant's own life goes first, and is the only one where not `everywhere`; then the other cases, incidents and
    saved plans, then seeds.
    """
    command = [sys.executable, "-m", __spec__.name, name, *([] if everywhere else [OWN])]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return told.stdout.strip() or None


def _lives() -> dict[str, Callable[[], tuple[str, ...]]]:
    # Imported here: after the mutant was installed.
    from holdfast_simulation.cases import CASES
    from holdfast_simulation.incidents import INCIDENTS
    from holdfast_simulation.world import plans
    from holdfast_simulation.world.run import run

    written = {each.name: lambda each=each: each.live().violations for each in (*CASES, *INCIDENTS)}
    saved = {file.stem: lambda file=file: run(plans.load(file)).violations for file in sorted(SAVED.glob("*.json"))}
    drawn = {f"seed {seed}": lambda seed=seed: run(plans.plan_of(seed)).violations for seed in range(TRIES)}
    return written | saved | drawn


def main() -> None:
    """With a mutant's name: lives through what is written, then seeds, until one catches it, or with `OWN` after it
    through its own life alone. Without: all in turn.

    Exits with 1 where a mutant was not caught.
    """
    if len(sys.argv) > 1:
        mutant = named(sys.argv[1])
        install(mutant)
        lives = _lives()
        own, others = [mutant.life], [name for name in lives if name != mutant.life]
        for name in own if OWN in sys.argv else own + others:
            if violations := lives[name]():
                sys.stdout.write(f"{name}: {violations[0]}\n")
                return
        sys.exit(1)
    missed = 0
    for mutant in MUTANTS:
        caught = hunt(mutant.name)
        missed += caught is None
        sys.stdout.write(f"{mutant.name}: {caught or f'NOT CAUGHT by what is written and {TRIES} seeds'}\n")
        sys.stdout.flush()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
