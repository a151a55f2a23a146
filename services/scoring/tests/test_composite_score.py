"""The composite score: 21 components, neutral where there is no data, never a number that is none (FP-2.x)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.scoring.v1 import scoring_pb2
from holdfast.signal.v1 import signal_pb2
from holdfast_runtime.errors import Refused
from holdfast_scoring.domain.components import BANDS, COMPONENTS, complete, initial_weights
from holdfast_scoring.domain.composite import composite, shares_of
from holdfast_scoring.domain.regime import Regime, regime_of
from holdfast_scoring.scorer import KEPT_SCORES, Scorer

ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True)


def score(strength: float = 1.0, **evidence: float):
    return composite(strength, evidence, shares_of(initial_weights()), Regime.NEUTRAL)


def test_there_are_21_components_each_with_a_band():
    """FP-2.1."""
    assert len(COMPONENTS) == len(set(COMPONENTS)) == 21
    assert set(BANDS) == set(COMPONENTS)
    assert all(band.holds(band.initial) for band in BANDS.values())


@pytest.mark.parametrize(("strength", "value"), [(1.0, 2.5), (0.6, 2.0), (0.0, 1.25), (7.0, 2.5), (-1.0, 1.25)])
def test_without_evidence_the_conviction_alone_decides(strength, value):
    """A full-strength signal passes the threshold of 2.0, one below 0.6 needs evidence."""
    found = score(strength)
    assert found.value == pytest.approx(value)
    assert all(part.missing and part.value == 0.5 for part in found.parts)


def test_evidence_raises_and_lowers():
    assert score(options_flow=1.0).value > score().value > score(options_flow=0.0).value
    assert not next(part for part in score(options_flow=0.7).parts if part.name == "options_flow").missing


def test_all_evidence_for_it_is_five_and_against_it_is_nothing():
    assert score(**dict.fromkeys(COMPONENTS, 1.0)).value == pytest.approx(5.0)
    assert score(**dict.fromkeys(COMPONENTS, 0.0)).value == 0.0


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_falls_back_to_neutral_and_is_told(number):
    """FP-2.2."""
    found = score(dark_pool=number)
    assert found.value == pytest.approx(2.5)
    assert found.faults == ("dark_pool",)
    assert score(number).faults == ("strength",)


@given(ANY_NUMBER, st.dictionaries(st.sampled_from([*COMPONENTS, "sma_fast"]), ANY_NUMBER))
def test_a_score_is_always_between_0_and_5_and_the_sum_of_its_parts(strength, evidence):
    found = composite(strength, evidence, shares_of(initial_weights()), Regime.NEUTRAL)
    assert 0 <= found.value <= 5
    assert found.value == pytest.approx(math.fsum(part.contribution for part in found.parts))
    assert [part.name for part in found.parts] == list(COMPONENTS)
    assert math.fsum(part.weight for part in found.parts) == pytest.approx(1.0)


@given(st.dictionaries(st.sampled_from(COMPONENTS), ANY_NUMBER | st.text() | st.none()))
def test_weights_are_always_whole_and_inside_their_bands(weights):
    """FP-2.1."""
    whole, renewed = complete(weights)
    assert set(whole) == set(COMPONENTS)
    assert all(BANDS[name].holds(weight) for name, weight in whole.items())
    assert set(COMPONENTS) - weights.keys() <= set(renewed)


@pytest.mark.parametrize(("name", "regime"), [("PANIC", Regime.PANIC), ("", Regime.NEUTRAL), (None, Regime.NEUTRAL)])
def test_an_unknown_regime_is_neutral(name, regime):
    """FP-2.5."""
    assert regime_of(name) is regime
    assert regime_of("BULLISH") is Regime.NEUTRAL


async def test_a_score_can_be_explained_while_it_is_kept():
    scorer = Scorer(initial_weights)
    message = scorer.score(signal_pb2.Signal(signal_id="s1", strength=1.0, features={"options_flow": 0.9, "sma": 7}))
    answer = await scorer.explain(scoring_pb2.ExplainRequest(signal_id="s1"))
    assert answer.score == message
    assert len(message.components) == 21
    assert message.regime == "NEUTRAL"
    with pytest.raises(Refused, match="no score of 's2' is kept"):
        await scorer.explain(scoring_pb2.ExplainRequest(signal_id="s2"))


async def test_kept_scores_are_bounded():
    scorer = Scorer(initial_weights)
    for number in range(KEPT_SCORES + 1):
        scorer.score(signal_pb2.Signal(signal_id=f"s{number}", strength=1.0))
    with pytest.raises(Refused):
        await scorer.explain(scoring_pb2.ExplainRequest(signal_id="s0"))
    await scorer.explain(scoring_pb2.ExplainRequest(signal_id="s1"))
