"""A breadth-first search through every state that the protocol can reach, and back from those that are at rest."""

from array import array
from dataclasses import dataclass

from holdfast_execution.domain.intents import IllegalTransition
from holdfast_simulation.protocol.model import Protocol
from holdfast_simulation.protocol.states import World

NEVER_RESTS = "18: what may stay unresolved for ever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`violation` is empty where every state holds; else `path` is a shortest way to one that does not.

    From step to step of a path the names of workers and intents may change places.
    """

    states: int
    steps: int
    violation: str = ""
    path: tuple[str, ...] = ()


def search(protocol: Protocol) -> Found:
    """Looks at every state; ends at the first violation."""
    begin = protocol.begin().canonical()
    places = {begin: 0}
    states = [begin]
    came_from, told = array("q", [-1]), [""]
    sources, targets = array("q"), array("q")
    interned: dict[object, object] = {}

    def found(violation: str, place: int, *last: str) -> Found:
        path = list(last)
        while place:
            path.append(told[place])
            place = came_from[place]
        return Found(states=len(states), steps=len(sources), violation=violation, path=tuple(reversed(path)))

    for place, world in enumerate(states):
        try:
            for step, following in protocol.successors(world):
                after = following.canonical()
                known = places.get(after)
                if known is None:
                    after = World(
                        tuple(interned.setdefault(each, each) for each in after.intents),  # type: ignore[misc]
                        tuple(interned.setdefault(each, each) for each in after.workers),  # type: ignore[misc]
                        after.broken,
                    )
                    known = places[after] = len(states)
                    states.append(after)
                    came_from.append(place)
                    told.append(step)
                    if violation := protocol.violated(after):
                        return found(violation, known)
                if known != place:
                    sources.append(place)
                    targets.append(known)
        except IllegalTransition as error:
            return found(f"13: {error}", place)
    stuck = _never_rests(states, sources, targets)
    return Found(states=len(states), steps=len(sources)) if stuck is None else found(NEVER_RESTS, stuck)


def _never_rests(states: list[World], sources: "array[int]", targets: "array[int]") -> int | None:
    """The first state from which no way leads to rest."""
    before: list[list[int]] = [[] for _ in states]
    for source, target in zip(sources, targets, strict=True):
        before[target].append(source)
    reached = [place for place, world in enumerate(states) if all(each.at_rest for each in world.intents)]
    rests = set(reached)
    for place in reached:
        for source in before[place]:
            if source not in rests:
                rests.add(source)
                reached.append(source)
    return next((place for place in range(len(states)) if place not in rests), None)
