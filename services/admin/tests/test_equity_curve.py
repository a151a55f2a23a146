"""The equity curve: any order of arrival gives the same points, and its size is bounded."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from holdfast_admin.domain.equity import EquityCurve, Point

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def feed(curve: EquityCurve, inputs: list[tuple[object, ...]]) -> None:
    for kind, *values in inputs:
        getattr(curve, str(kind))(*values)


def history(seed: int, minutes: int = 12) -> list[tuple[object, ...]]:
    """Bars of two symbols, and facts of trades in them: time grows with the version."""
    random = Random(seed)
    found: list[tuple[object, ...]] = [("cash", 1, OPEN, Decimal(1000))]
    version = 1
    for minute in range(1, minutes + 1):
        end = OPEN + minute * MINUTE
        found += [("bar", s, end, Decimal(random.randint(5, 15))) for s in ("BAC", "SPY") if random.random() < 0.8]
        if random.random() < 0.6:
            at = end + timedelta(seconds=random.randint(0, 59))
            found.append(("quantity", version + 1, at, random.choice(["BAC", "SPY"]), Decimal(minute), Decimal(10)))
            found.append(("cash", version + 2, at, Decimal(1000 - minute)))
            version += 2
    return found


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_points(seed: int, random: Random) -> None:
    inputs = history(seed)
    straight, shuffled = EquityCurve(), EquityCurve()
    feed(straight, inputs)
    mixed = inputs + random.choices(inputs, k=5)
    random.shuffle(mixed)
    for each in mixed:
        feed(shuffled, [each])
        if random.random() < 0.3:
            shuffled.points()
    assert shuffled.points() == straight.points()


def test_a_point_is_cash_and_what_is_held_at_its_newest_close() -> None:
    curve = EquityCurve()
    curve.cash(1, OPEN, Decimal(1000))
    curve.bar("SPY", OPEN + MINUTE, Decimal(10))
    curve.quantity(2, OPEN + MINUTE + timedelta(seconds=5), "SPY", Decimal(20), Decimal(11))
    curve.cash(3, OPEN + MINUTE + timedelta(seconds=5), Decimal(780))
    curve.bar("SPY", OPEN + 2 * MINUTE, Decimal(12))
    first, second = int((OPEN + MINUTE).timestamp()), int((OPEN + 2 * MINUTE).timestamp())
    assert curve.points() == [Point(first, Decimal(1000)), Point(second, Decimal(1020))]


def test_a_reading_of_the_ledger_never_outlives_a_newer_fact() -> None:
    """The reading's instant may lie after the instant of a fact that came later."""
    curve = EquityCurve()
    curve.cash(5, OPEN + timedelta(seconds=90), Decimal(1000), read=True)
    curve.cash(6, OPEN + timedelta(seconds=80), Decimal(500))
    curve.bar("SPY", OPEN + 3 * MINUTE, Decimal(10))
    assert [point.equity for point in curve.points()] == [Decimal(500)]


def test_what_was_held_before_the_first_bar_counts_at_its_cost() -> None:
    curve = EquityCurve()
    curve.cash(1, OPEN, Decimal(100))
    curve.quantity(2, OPEN, "IBM", Decimal(2), Decimal(50))
    curve.bar("SPY", OPEN + MINUTE, Decimal(10))
    assert [point.equity for point in curve.points()] == [Decimal(200)]


def test_the_revision_grows_only_where_older_points_may_have_changed() -> None:
    curve = EquityCurve()
    curve.cash(1, OPEN, Decimal(100))
    for minute in (1, 2, 3):
        curve.bar("SPY", OPEN + minute * MINUTE, Decimal(10))
        curve.points()
    assert curve.revision == 0
    curve.bar("BAC", OPEN + 3 * MINUTE, Decimal(10))
    assert curve.points()
    assert curve.revision == 0
    curve.bar("BAC", OPEN + MINUTE, Decimal(10))
    assert curve.points()
    assert curve.revision == 1


def test_only_the_newest_points_are_kept() -> None:
    whole, bounded = EquityCurve(), EquityCurve(max_points=20)
    inputs = history(7, minutes=600)
    feed(whole, inputs)
    feed(bounded, inputs)
    assert bounded.points() == whole.points()[-20:]
