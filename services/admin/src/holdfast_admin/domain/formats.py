"""Numbers and times as people read them: thousands separators, two decimals, a true minus sign, the exchange's time."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from holdfast_core.money import CENT, plain
from holdfast_core.new_york import NEW_YORK

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
NEVER = datetime.fromtimestamp(0, UTC)
_TEN_THOUSANDTH = Decimal("0.0001")


def money(value: Decimal | None) -> str:
    """`1,234.50`; negative with a minus sign."""
    if value is None:
        return NONE
    cents = value.quantize(CENT, ROUND_HALF_EVEN)
    return "0.00" if cents == 0 else f"{cents:,.2f}".replace("-", MINUS)


def signed(value: Decimal | None) -> str:
    """`+12.30`, `−4.00`; what rounds to zero has no sign."""
    if value is None:
        return NONE
    cents = value.quantize(CENT, ROUND_HALF_EVEN)
    return "0.00" if cents == 0 else f"{cents:+,.2f}".replace("-", MINUS)


def price(value: Decimal | None) -> str:
    """At least two decimals, at most four."""
    if value is None:
        return NONE
    fine = value.quantize(_TEN_THOUSANDTH, ROUND_HALF_EVEN)
    return f"{fine:,.2f}" if fine == fine.quantize(CENT) else f"{fine.normalize():,f}"


def quantity(value: Decimal | None) -> str:
    return NONE if value is None else f"{plain(value):,f}".replace("-", MINUS)


def percent(value: Decimal | None, *, sign: bool = False) -> str:
    """A fraction: 0.0123 is `1.23 %`."""
    if value is None:
        return NONE
    hundredths = (value * 100).quantize(CENT, ROUND_HALF_EVEN)
    text = f"{abs(hundredths):,.2f} %" if hundredths == 0 else f"{hundredths:{'+' if sign else ''},.2f} %"
    return text.replace("-", MINUS)


def tone(value: Decimal | None) -> str:
    """up, down or flat: the colour of a signed amount."""
    cents = Decimal(0) if value is None else value.quantize(CENT, ROUND_HALF_EVEN)
    return "up" if cents > 0 else "down" if cents < 0 else "flat"


def clock(at: datetime | None) -> str:
    """`10:31:05` at the exchange."""
    return NONE if at is None or at <= NEVER else f"{at.astimezone(NEW_YORK):%H:%M:%S}"


def day_clock(at: datetime | None) -> str:
    """`Tue 8 Oct 10:31:05` at the exchange; nothing for an instant before market time began."""
    if at is None or at <= NEVER:
        return NONE
    local = at.astimezone(NEW_YORK)
    return f"{local:%a} {local.day} {local:%b %H:%M:%S}"


def day_minute(at: datetime | None) -> str:
    """`Tue 8 Oct 09:30` at the exchange."""
    text = day_clock(at)
    return text if text == NONE else text[:-3]


def wall(at: datetime | None) -> str:
    """`2026-11-21 09:30:00 UTC`: when something happened to the system itself."""
    return NONE if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def number(text: str) -> str:
    """A number behind a decision: an instant as the exchange's time, anything else as it came."""
    if len(text) < len("2013-10-07T13:58Z") or text[4:5] != "-" or text[10:11] != "T":
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{day_clock(at)} ET" if at.tzinfo is not None else text


def duration(span: timedelta) -> str:
    """The two largest units: `2 d 3 h`, `5 min 3 s`, `12 s`."""
    secs = max(0, int(span.total_seconds()))
    units = (("d", secs // 86_400), ("h", secs // 3_600 % 24), ("min", secs // 60 % 60), ("s", secs % 60))
    shown = [(name, count) for name, count in units if count]
    if not shown:
        return "0 s"
    first = [name for name, _ in units].index(shown[0][0])
    return " ".join(f"{count} {name}" for name, count in units[first : first + 2] if count)
