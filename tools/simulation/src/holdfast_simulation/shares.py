"""A sweep in parts that run anywhere: what each of them is told, and the line of JSON that it tells of a seed or a run.

Work is every seed of a range, or every backtest of a list. Part i of n has every nth of them from i on.
"""

import base64
import json
import lzma
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from holdfast_runtime.settings import Settings
from holdfast_simulation.backtest import grid
from holdfast_simulation.world import sweep
from holdfast_simulation.world.faults import Kind
from holdfast_simulation.world.plans import plan_of
from holdfast_simulation.world.run import Outcome

NOT_FOR_OTHERS: dict[str, Any] = {"alerts": True, "execution": {"ledger_url"}}
"""Settings that may hold a secret. No backtest reads them."""
DRAWN_OR_LEFT = ("plan", "story")
"""Of an outcome: the plan is drawn from the seed again, and nobody tells the story."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A whole sweep. Either seeds or runs."""

    parts: int
    seeds: range = range(0)
    runs: Sequence[Settings] = ()

    def size_of(self, index: int) -> int:
        """How many lines part `index` tells."""
        return len(self.seeds[index :: self.parts]) + len(self.runs[index :: self.parts])

    def packed(self) -> str:
        """In one word: settings that differ little take little."""
        told = {
            "parts": self.parts,
            "seeds": [self.seeds.start, self.seeds.stop],
            "runs": [each.model_dump(mode="json", exclude=NOT_FOR_OTHERS) for each in self.runs],
        }
        return base64.b64encode(lzma.compress(json.dumps(told).encode())).decode()


def unpacked(word: str) -> Work:
    """What `packed` told. Raises ValueError or KeyError for anything else."""
    told: dict[str, Any] = json.loads(lzma.decompress(base64.b64decode(word)))
    runs = [Settings.model_validate(each) for each in told["runs"]]
    return Work(parts=told["parts"], seeds=range(*told["seeds"]), runs=runs)


def lines(work: Work, index: int) -> Iterator[str]:
    """Does part `index`, on one core: a line as each seed or run ends."""
    if seeds := work.seeds[index :: work.parts]:
        yield from (_told_of_life(outcome, cpu_secs) for outcome, cpu_secs in sweep.lives(seeds, jobs=1))
    if runs := work.runs[index :: work.parts]:
        for place, tried in grid.try_all(runs, jobs=1):
            yield _told_of_run(index + place * work.parts, tried)


def life_of(line: str) -> tuple[Outcome, float]:
    """A seed as `sweep.lives` gives it. Raises ValueError, KeyError or TypeError for anything else."""
    told: dict[str, Any] = json.loads(line)
    outcome = told["outcome"] | {
        "plan": plan_of(told["seed"]),
        "story": (),
        "violations": tuple(told["outcome"]["violations"]),
        "fired": Counter({Kind(kind): count for kind, count in told["outcome"]["fired"].items()}),
        "told": Counter(told["outcome"]["told"]),
    }
    return Outcome(**outcome), told["cpu_secs"]


def run_of(line: str) -> tuple[int, grid.Tried | str]:
    """A backtest as `grid.try_all` gives it. Raises ValueError, KeyError or TypeError for anything else."""
    told: dict[str, Any] = json.loads(line)
    return told["place"], told["failure"] or grid.Tried(**told["tried"])


def _told_of_life(outcome: Outcome, cpu_secs: float) -> str:
    names = [each.name for each in fields(outcome) if each.name not in DRAWN_OR_LEFT]
    told = {name: getattr(outcome, name) for name in names}
    return json.dumps({"seed": outcome.plan.seed, "cpu_secs": cpu_secs, "outcome": told})


def _told_of_run(place: int, tried: grid.Tried | str) -> str:
    if isinstance(tried, str):
        return json.dumps({"place": place, "failure": tried})
    return json.dumps({"place": place, "failure": "", "tried": asdict(tried)})
