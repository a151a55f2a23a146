"""Exact money: prices, quantities and cash are Decimal, never float (CQ-3, DI-6)."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal, InvalidOperation

ZERO = Decimal(0)
CENT = Decimal("0.01")
UNITS_PER_QUANTITY = 10**9
"""Prices and quantities are stored as integers of 10⁻⁹."""
UNITS_PER_CASH = 10**8
"""Cash is stored as integers of 10⁻⁸."""


MAX_TEXT = 64
"""Longest text of a number."""
MAX_PLACES = 40
"""Most places after the point that are read: averages that a venue computes have many."""
MAX_MAGNITUDE = 17
"""Largest power of ten that is read. No amount comes near it; 1e999999 would stop the arithmetic of whoever uses it."""


class InexactAmount(ValueError):
    """A number that is not finite, is beyond all amounts, or has more digits than the ledger keeps."""


def parse_amount(text: str, *, what: str = "amount") -> Decimal:
    """A finite Decimal from its string form. Raises InexactAmount naming `what` and the text."""
    if len(text) > MAX_TEXT:
        raise InexactAmount(f"{what}: {text[:MAX_TEXT]!r}… is longer than {MAX_TEXT} characters")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise InexactAmount(f"{what}: {text!r} is not a decimal number") from None
    if not value.is_finite():
        raise InexactAmount(f"{what}: {text!r} is not finite")
    exponent = value.as_tuple().exponent
    if not -MAX_PLACES <= int(exponent) <= MAX_MAGNITUDE or value.adjusted() > MAX_MAGNITUDE:
        raise InexactAmount(f"{what}: {text!r} is no amount: at most 10^{MAX_MAGNITUDE}, {MAX_PLACES} places")
    return value


def to_units(value: Decimal, units: int, *, what: str = "amount") -> int:
    """`value` as a whole number of units. Raises InexactAmount where that would lose a digit."""
    scaled = value * units
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise InexactAmount(f"{what}: {value} has more digits than 1/{units}")
    return int(scaled)


def from_units(count: int, units: int) -> Decimal:
    """The inverse of `to_units`, without trailing zeros."""
    return plain(Decimal(count) / units)


def plain(value: Decimal) -> Decimal:
    """`value` without trailing zeros and without an exponent: 100, 0.5, never 1E+2."""
    normal = value.normalize()
    return normal.quantize(Decimal(1)) if normal == normal.to_integral_value() else normal


def round_to(value: Decimal, step: Decimal, *, up: bool | None = None) -> Decimal:
    """`value` as a multiple of `step`: up, down, or to the nearest where `up` is None."""
    rounding = ROUND_HALF_EVEN if up is None else ROUND_UP if up else ROUND_DOWN
    return (value / step).quantize(Decimal(1), rounding=rounding) * step


def is_rounded(coarse: Decimal, exact: Decimal) -> bool:
    """Whether `coarse` is `exact` to its own last digit, cents at the least: no tolerance beyond that (invariant 6)."""
    exponent = coarse.as_tuple().exponent
    step = min(CENT, Decimal(1).scaleb(exponent)) if isinstance(exponent, int) else CENT
    return exact.quantize(step, rounding=ROUND_HALF_EVEN) == coarse
