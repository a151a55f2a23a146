"""The newest version of each aggregate, bounded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

Body = TypeVar("Body")

SLACK = 64
"""So many more than the bound are kept before the oldest go, so that not every fact sorts."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[Body]):
    """One aggregate as of one fact."""

    version: int
    at: datetime
    """Market time of the fact."""
    body: Body


class Newest(Generic[Body]):
    """By aggregate id. The order in which versions arrive, and how often, makes no difference.

    Beyond `bound` the ones with the lowest versions go, except where `pinned` holds. What an evicted one was is not
    remembered: a late fact at or below the highest evicted version is taken for old, and not kept.
    """

    def __init__(self, bound: int, *, pinned: Callable[[Body], bool] = lambda _: False) -> None:
        self._bound = bound
        self._pinned = pinned
        self._kept: dict[str, Kept[Body]] = {}
        self._floor = 0

    def put(self, aggregate: str, version: int, at: datetime, body: Body) -> bool:
        """Keeps it where it is news; answers whether it was."""
        return bool(self.put_all({aggregate: body}, version, at))

    def put_all(self, bodies: Mapping[str, Body], version: int, at: datetime) -> list[Body]:
        """Keeps those of one fact that are news, and answers them. None of them makes another one old."""
        news = {aggregate: body for aggregate, body in bodies.items() if self._is_news(aggregate, version)}
        for aggregate, body in news.items():
            self._kept[aggregate] = Kept(version, at, body)
        if len(self._kept) > self._bound + SLACK:
            self._evict()
        return list(news.values())

    def _is_news(self, aggregate: str, version: int) -> bool:
        known = self._kept.get(aggregate)
        return version > (self._floor if known is None else known.version)

    def force(self, aggregate: str, version: int, at: datetime, body: Body) -> None:
        """As the ledger itself says it at `version`: newer facts stay, all else gives way."""
        known = self._kept.get(aggregate)
        if known is None or known.version <= version:
            self._kept[aggregate] = Kept(version, at, body)
            if len(self._kept) > self._bound + SLACK:
                self._evict()

    def drop(self, *, unless: Callable[[str, Kept[Body]], bool]) -> None:
        """Forgets what does not pass."""
        self._kept = {name: kept for name, kept in self._kept.items() if unless(name, kept)}

    def get(self, aggregate: str) -> Kept[Body] | None:
        return self._kept.get(aggregate)

    def items(self) -> Iterator[tuple[str, Kept[Body]]]:
        return iter(self._kept.items())

    def newest(self, limit: int | None = None) -> list[Kept[Body]]:
        """Highest version first, at most the bound (pinned ones may come on top) or `limit`."""
        found = sorted(self._kept.items(), key=_age, reverse=True)
        bodies = [kept for _, kept in found]
        if limit is not None:
            return bodies[:limit]
        return bodies[: self._bound] + [kept for kept in bodies[self._bound :] if self._pinned(kept.body)]

    def __len__(self) -> int:
        return len(self._kept)

    def _evict(self) -> None:
        ordered = sorted(self._kept.items(), key=_age)
        for name, kept in ordered[: len(ordered) - self._bound]:
            if not self._pinned(kept.body):
                del self._kept[name]
                self._floor = max(self._floor, kept.version)


def _age(item: tuple[str, Kept[Body]]) -> tuple[int, str]:
    name, kept = item
    return kept.version, name
