"""Options flow: alerts on option trades, and dark-pool prints (FP-1.x, FP-2.x).

An alert is either recorded (made of a recorded minute of one contract) or generated: drawn from a seed, the symbol and
the market minute, around the recorded price of the underlying. The same seed gives the same alerts in every run, and
an alert is visible from the end of its minute, never earlier. Each says which of the two it is.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID, uuid5

from holdfast_core.new_york import new_york_day
from holdfast_exchange.faults.chance import between, uniform
from holdfast_exchange.recording import Bar, OptionBar, QuoteBar

NAMESPACE = UUID("5a1d5e0e-5f0b-5c43-9d5d-7b1c9f6c2a11")
CONTRACT = 100
"""Shares of one option contract."""
CENT = Decimal("0.01")
LEAST_RECORDED_PREMIUM = Decimal(25_000)
"""A recorded minute of a contract is an alert from that many dollars on."""
MADE_UP = ("total_ask_side_prem", "total_bid_side_prem")
"""Of a recorded alert: who was the aggressor is not recorded, so it is judged by the minute's price move."""
_YEAR_DAYS = 365
_RULES = (
    "RepeatedHits",
    "RepeatedHitsAscendingFill",
    "RepeatedHitsDescendingFill",
    "SweepsFollowedByFloor",
    "FloorTradeLargeCap",
    "LowHistoricVolumeFloor",
    "OtmEarningsFloor",
)
_WEEKS_AHEAD = (0, 0, 1, 1, 2, 3, 4, 6, 8, 13, 26)


class Provenance(StrEnum):
    """Where an item comes from."""

    RECORDED = "recorded"
    GENERATED = "generated"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowAlert:
    """Unusual trades of one option contract. Prices and premium in dollars, sizes in contracts; None is not known."""

    id: str
    provenance: Provenance
    ticker: str
    right: str
    """`call` or `put`."""
    strike: Decimal
    expiry: date
    price: Decimal
    underlying_price: Decimal | None
    size: int
    trades: int | None
    ask_premium: Decimal
    bid_premium: Decimal
    volume: int
    """Contracts traded that day up to the alert."""
    open_interest: int | None
    sweep: bool
    floor: bool
    multileg: bool
    opening: bool
    rule: str
    iv_start: Decimal | None
    iv_end: Decimal | None
    start: datetime
    end: datetime
    """First and last trade behind it."""
    created_at: datetime
    """Visible from then on."""

    @property
    def premium(self) -> Decimal:
        """All sides together, in dollars."""
        return self.price * self.size * CONTRACT

    @property
    def contract(self) -> str:
        """The OCC's name: `AAPL140719C00645000`."""
        thousandths = int(self.strike * 1_000)
        return f"{self.ticker}{self.expiry:%y%m%d}{self.right[0].upper()}{thousandths:08d}"

    @property
    def made_up(self) -> tuple[str, ...]:
        """Fields of a recorded alert that are judged, not recorded."""
        return MADE_UP if self.provenance is Provenance.RECORDED else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkPrint:
    """A trade off the exchanges. Price in dollars, size and volume in shares; the quote is the one that was visible."""

    id: int
    provenance: Provenance
    ticker: str
    price: Decimal
    size: int
    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int
    volume: int
    """Shares traded that day up to the print."""
    executed_at: datetime

    @property
    def premium(self) -> Decimal:
        """Dollars."""
        return self.price * self.size


def tide(seed: int, symbol: str, at: datetime) -> float:
    """Which way the flow of a symbol leans in the hour of `at`, from -1 (bearish) to 1 (bullish)."""
    return between(-1.0, 1.0, seed, "tide", symbol, at.strftime("%Y-%m-%dT%H"))


def generated_alert(seed: int, bar: Bar) -> FlowAlert | None:
    """The alert of the minute of `bar`, or None where there is none."""
    words = (seed, "flow", bar.symbol, bar.end.isoformat())
    lean = tide(seed, bar.symbol, bar.start)
    if uniform(*words, "happens") >= 0.05 + 0.10 * abs(lean):
        return None
    bullish = uniform(*words, "bullish") < 0.5 + 0.4 * lean
    bought = uniform(*words, "bought") < 0.75
    right = "call" if bullish == bought else "put"
    day = new_york_day(bar.end)
    expiry = _friday(day, _WEEKS_AHEAD[int(uniform(*words, "weeks") * len(_WEEKS_AHEAD))])
    spot = float(bar.close)
    away = abs(_normal(*words, "away")) * 0.03 * (1 if right == "call" else -1)
    step = _strike_step(spot)
    strike = max(step, (Decimal(str(spot * (1 + away))) / step).quantize(Decimal(1)) * step)
    volatility = 0.12 + 0.25 * uniform(seed, "volatility", bar.symbol) + 0.05 * uniform(*words, "volatility")
    price = _premium(right, spot, float(strike), volatility, (expiry - day).days)
    size = max(10, int(math.exp(5.3 + 0.8 * _normal(*words, "size"))))
    premium = price * size * CONTRACT
    at_ask = _share(premium, between(0.65, 0.98, *words, "side") if bought else between(0.02, 0.35, *words, "side"))
    interest = int(math.exp(6.5 + _normal(*words, "interest")))
    volume = size + int(size * 2.0 * uniform(*words, "volume"))
    started = bar.start + timedelta(seconds=int(20 * uniform(*words, "start")))
    multileg = uniform(*words, "legs") < 0.12
    return FlowAlert(
        id=str(uuid5(NAMESPACE, "/".join(map(str, words)))),
        provenance=Provenance.GENERATED,
        ticker=bar.symbol,
        right=right,
        strike=strike,
        expiry=expiry,
        price=price,
        underlying_price=bar.close,
        size=size,
        trades=1 + int(30 * uniform(*words, "trades")),
        ask_premium=at_ask,
        bid_premium=premium - at_ask,
        volume=volume,
        open_interest=interest,
        sweep=not multileg and uniform(*words, "sweep") < 0.4,
        floor=uniform(*words, "floor") < 0.1,
        multileg=multileg,
        opening=volume > interest,
        rule=_RULES[int(uniform(*words, "rule") * len(_RULES))],
        iv_start=_rounded(volatility),
        iv_end=_rounded(volatility * (1 + 0.03 * (1 if bought else -1) * uniform(*words, "iv"))),
        start=started,
        end=started + timedelta(seconds=int(39 * uniform(*words, "end"))),
        created_at=bar.end,
    )


def recorded_alert(bar: OptionBar, day_volume: int, underlying_price: Decimal | None) -> FlowAlert | None:
    """The alert that a recorded minute of a contract is; None where its premium is small.

    `day_volume`: contracts traded that day, this minute included.
    """
    price = ((bar.high + bar.low + bar.close) / 3).quantize(CENT)
    size = int(bar.volume)
    premium = price * size * CONTRACT
    if premium < LEAST_RECORDED_PREMIUM:
        return None
    rising, falling = bar.close > bar.open, bar.close < bar.open
    at_ask = _share(premium, 0.8 if rising else 0.2 if falling else 0.5)
    name = f"recorded/{bar.underlying}/{bar.expiry}/{bar.right}/{bar.strike}/{bar.end.isoformat()}"
    rule = "RepeatedHitsAscendingFill" if rising else "RepeatedHitsDescendingFill" if falling else "RepeatedHits"
    return FlowAlert(
        id=str(uuid5(NAMESPACE, name)),
        provenance=Provenance.RECORDED,
        ticker=bar.underlying,
        right=bar.right,
        strike=bar.strike,
        expiry=bar.expiry,
        price=price,
        underlying_price=underlying_price,
        size=size,
        trades=None,
        ask_premium=at_ask,
        bid_premium=premium - at_ask,
        volume=day_volume,
        open_interest=None,
        sweep=False,
        floor=False,
        multileg=False,
        opening=False,
        rule=rule,
        iv_start=None,
        iv_end=None,
        start=bar.start,
        end=bar.end,
        created_at=bar.end,
    )


def generated_print(seed: int, bar: Bar, quote: QuoteBar | None, share_volume: Decimal) -> DarkPrint | None:
    """The dark-pool print of the minute of `bar`, or None. The quote is the recorded one, else a cent on each side."""
    words = (seed, "dark", bar.symbol, bar.end.isoformat())
    if uniform(*words, "happens") >= 0.25 or bar.volume < CONTRACT:
        return None
    bid, ask = (bar.close - CENT, bar.close + CENT) if quote is None else (quote.bid_close, quote.ask_close)
    size = max(CONTRACT, int(bar.volume * Decimal(str(round(between(0.05, 0.4, *words, "size"), 4)))))
    place = Decimal(str(round(uniform(*words, "place"), 4)))
    return DarkPrint(
        id=int(uniform(*words, "id") * 10**15),
        provenance=Provenance.GENERATED,
        ticker=bar.symbol,
        price=(bid + (ask - bid) * place).quantize(Decimal("0.0001")),
        size=size,
        bid=bid,
        ask=ask,
        bid_size=CONTRACT if quote is None else int(quote.bid_size),
        ask_size=CONTRACT if quote is None else int(quote.ask_size),
        volume=int(share_volume),
        executed_at=bar.end,
    )


def _friday(day: date, weeks: int) -> date:
    return day + timedelta(days=(4 - day.weekday()) % 7 + 7 * weeks)


def _strike_step(spot: float) -> Decimal:
    for below, step in ((25.0, "0.5"), (100.0, "1"), (250.0, "2.5")):
        if spot < below:
            return Decimal(step)
    return Decimal(5)


def _premium(right: str, spot: float, strike: float, volatility: float, days: int) -> Decimal:
    """What an option is worth, near enough: its intrinsic value, and time value that fades with the distance."""
    spread = spot * volatility * math.sqrt(max(days, 1) / _YEAR_DAYS)
    distance = (strike - spot) / spread
    inside = max(0.0, spot - strike if right == "call" else strike - spot)
    return max(CENT, Decimal(str(inside + 0.4 * spread * math.exp(-distance * distance / 2))).quantize(CENT))


def _share(amount: Decimal, part: float) -> Decimal:
    return (amount * Decimal(str(round(part, 4)))).quantize(CENT)


def _rounded(value: float) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.0001"))


def _normal(*words: object) -> float:
    """A number of the normal distribution, by Box and Muller."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(*words, "radius")))
    return radius * math.cos(2.0 * math.pi * uniform(*words, "angle"))
