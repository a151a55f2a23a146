"""All 21 weights are there: written where they are absent, repaired where one is impossible (FP-2.1); a stale read
overwrites none (BS-5)."""

import json

import pytest

from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.buckets import RevisionConflict
from holdfast_scoring.domain.components import COMPONENTS, initial_weights
from holdfast_scoring.weights import GLOBAL, WeightKeeper
from holdfast_simulation.hurried_clock import HurriedClock
from holdfast_simulation.memory_bus import MemoryBus


@pytest.fixture
def bucket():
    return MemoryBus(HurriedClock()).bucket("weights")


def keeper(bucket) -> WeightKeeper:
    return WeightKeeper(bucket, clock=HurriedClock(), progress=lambda: None)


async def held(bucket) -> dict[str, float]:
    return json.loads((await bucket.get(GLOBAL)).value)


async def test_an_empty_bucket_gets_every_weight(bucket):
    await keeper(bucket).refresh()
    assert await held(bucket) == initial_weights()


async def test_learned_weights_are_used_and_left_alone(bucket):
    learned = initial_weights() | {"dark_pool": 2.0}
    await bucket.create(GLOBAL, json.dumps(learned).encode())
    made = keeper(bucket)
    await made.refresh()
    assert made.present == learned
    assert (await bucket.get(GLOBAL)).revision == 1


@pytest.mark.parametrize(
    "value",
    [b"no json", b"[]", b"{}", json.dumps(initial_weights() | {"insider": 1e9}).encode(), b'{"congress": "NaN"}'],
)
async def test_what_is_missing_or_impossible_begins_anew(bucket, value):
    await bucket.create(GLOBAL, value)
    made = keeper(bucket)
    await made.refresh()
    assert made.present == initial_weights() == await held(bucket)


async def test_while_the_bucket_is_away_the_initial_weights_hold(bucket):
    bucket.away = True
    made = keeper(bucket)
    with pytest.raises(Retry):
        await made.refresh()
    assert set(made.present) == set(COMPONENTS)


@pytest.mark.parametrize("older", [None, b"{}"], ids=["not there yet", "incomplete"])
async def test_what_a_stale_read_shows_replaces_nothing_newer(bucket, older):
    """BS-5: the write is refused, and tried again from a fresh read."""
    learned = initial_weights() | {"dark_pool": 2.0}
    revision = 0 if older is None else await bucket.create(GLOBAL, older)
    written = json.dumps(learned).encode()
    await (bucket.update(GLOBAL, written, revision=revision) if revision else bucket.create(GLOBAL, written))
    bucket.stale_reads = 1
    made = keeper(bucket)

    with pytest.raises(RevisionConflict):
        await made.refresh()
    await made.refresh()

    assert made.present == learned == await held(bucket)
