"""What a check is, and what it finds. A check only looks: it changes nothing, and it ends in its deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.secrets import hide_registered

DEADLINE_SECS = 4.0
MAX_EVIDENCE = 500


class Verdict(IntEnum):
    """Numbers as in the contract; the higher the worse."""

    OK = pb.VERDICT_OK
    WARN = pb.VERDICT_WARN
    RED = pb.VERDICT_RED


@dataclass(frozen=True, slots=True)
class Result:
    """What one look has found. `steps`: what to do about it; empty: the check's own."""

    verdict: Verdict
    evidence: str
    steps: tuple[str, ...] = ()


def well(evidence: str) -> Result:
    return Result(Verdict.OK, evidence)


def doubtful(evidence: str, *steps: str) -> Result:
    return Result(Verdict.WARN, evidence, steps)


def red(evidence: str, *steps: str) -> Result:
    return Result(Verdict.RED, evidence, steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One edge of a service. `look` says what it found; whatever it raises is RED with its words."""

    name: str
    look: Callable[[], Result | Awaitable[Result]]
    steps: tuple[str, ...]
    """What to do where it is not OK and the finding itself does not say."""
    deadline_secs: float = DEADLINE_SECS
    counted: bool = False
    """The venue counts it, as the faults of a replay count requests: where a run must repeat, on demand only."""


async def examine(checks: Iterable[Check]) -> list[pb.CheckResult]:
    """All checks at the same time, each in its deadline, in their order."""
    return list(await asyncio.gather(*(_one(each) for each in checks)))


async def _one(check: Check) -> pb.CheckResult:
    try:
        found = check.look()
        if not isinstance(found, Result):
            async with asyncio.timeout(check.deadline_secs):
                found = await found
    except TimeoutError:
        found = red(f"no answer within {check.deadline_secs:g} s")
    except AskPerson as error:
        found = red(str(error), *error.steps)
    except Exception as error:  # noqa: BLE001 - whatever a check raises is what it has found
        found = red(str(error) or type(error).__name__)
    return result(check.name, found, check.steps)


def result(name: str, found: Result, steps: Sequence[str] = ()) -> pb.CheckResult:
    """As it travels: bounded, and without any secret that this process knows."""
    return pb.CheckResult(
        check=name,
        verdict=pb.Verdict.ValueType(found.verdict),
        evidence=hide_registered(found.evidence)[:MAX_EVIDENCE],
        steps=[] if found.verdict is Verdict.OK else [hide_registered(each) for each in found.steps or steps],
    )


def gravest(results: Iterable[pb.CheckResult]) -> Verdict:
    """The worst verdict. One that nobody knows is RED: nothing is guessed."""
    known = {each.value: each for each in Verdict}
    return max((known.get(each.verdict, Verdict.RED) for each in results), default=Verdict.OK)
