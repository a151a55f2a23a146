"""Derivatives intelligence of a coin: taker flow, accounts, liquidations, large positions (CG-1 … CG-3, IG-3 … IG-6).

Everything here is generated: drawn from a seed, the pair and the market minute around the recorded spot bar of that
minute, so the same seed gives the same numbers in every run, and none is visible before its minute is over.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from holdfast_exchange.faults.chance import between, uniform
from holdfast_exchange.market import Market
from holdfast_exchange.minute_tape import MinuteTape
from holdfast_exchange.recording import Bar
from holdfast_exchange.timeframes import merged

CENT = Decimal("0.01")
LEVERAGES = ((10, 0.15), (25, 0.35), (50, 0.3), (100, 0.2))
"""Leverage, and the part of new positions that has it."""
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
"""From where intervals are counted, so that weeks begin on Mondays."""
WHALE_LEAST_USD = 1_000_000
HEATMAP_LEVELS = 81
HEATMAP_REACH = 0.06
"""How far the levels of the heatmap reach from the present price, as a part of it."""
HEATMAP_COLUMNS = 144


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One minute, or several together. Amounts in US dollars; `long_accounts` and `top_long` are parts of 1."""

    start: datetime
    end: datetime
    taker_buy: Decimal
    taker_sell: Decimal
    long_liquidated: Decimal
    short_liquidated: Decimal
    long_accounts: Decimal
    """Of all accounts, those that are long."""
    top_long: Decimal
    """The same of the largest accounts."""

    @property
    def turnover(self) -> Decimal:
        return self.taker_buy + self.taker_sell


@dataclass(frozen=True, slots=True, kw_only=True)
class WhaleTrade:
    """A large position that was opened or closed. Size in coins, negative where it is short; value in dollars."""

    at: datetime
    holder: str
    size: Decimal
    entry_price: Decimal
    liquidation_price: Decimal
    value: Decimal
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """Where positions would be liquidated: dollars by column of time and level of price."""

    levels: tuple[Decimal, ...]
    cells: tuple[tuple[int, int, Decimal], ...]
    """Column, level, dollars."""
    candles: tuple[Bar, ...]


class DerivativesTape:
    """The derivatives market around each pair of a market."""

    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._readings = MinuteTape(market, market.minute_bars, self._readings_of, lambda reading: reading.end)
        self._whales = MinuteTape(market, market.minute_bars, self._whales_of, lambda trade: trade.at)

    @property
    def coins(self) -> dict[str, str]:
        """The recorded pair behind each coin: BTC → BTC/USD."""
        return {symbol.partition("/")[0]: symbol for symbol in self._market.symbols if "/" in symbol}

    def readings(self, pair: str, interval: timedelta) -> list[Reading]:
        """Whole intervals from midnight of UTC on that have ended, oldest first."""
        return [
            reading
            for reading in together(self._readings.items(pair), interval)
            if reading.end <= self._market.released
        ]

    def whales(self, pair: str) -> Sequence[WhaleTrade]:
        """Visible large trades, oldest first."""
        return self._whales.items(pair)

    def heatmap(self, pair: str, reach: timedelta) -> Heatmap | None:
        """Of positions opened within `reach` before the present; None before the first bar of it."""
        now = self._market.released
        bars = self._market.minute_bars(pair, now - reach, now)
        if not bars:
            return None
        size = max(timedelta(minutes=5), timedelta(minutes=math.ceil(reach / timedelta(minutes=1) / HEATMAP_COLUMNS)))
        candles = _candles(bars, size)
        return heatmap(self._seed, candles)

    def _readings_of(self, bars: list[Bar]) -> list[Reading]:
        return [reading(self._seed, bar) for bar in bars]

    def _whales_of(self, bars: list[Bar]) -> list[WhaleTrade]:
        return [trade for bar in bars if (trade := whale_trade(self._seed, bar)) is not None]


def reading(seed: int, bar: Bar) -> Reading:
    """The derivatives market in the minute of `bar`."""
    words = (seed, "derivatives", bar.symbol, bar.end.isoformat())
    move_bps = float((bar.close - bar.open) / bar.open) * 10_000
    turnover = float(bar.close * bar.volume) * between(14.0, 26.0, *words, "turnover") + 1_000.0
    lean = _tide(seed, bar.symbol, bar.end)
    buying = 0.5 + 0.15 * math.tanh(move_bps / 12) + 0.06 * lean + between(-0.04, 0.04, *words, "noise")
    share = min(0.9, max(0.1, buying))
    forced = turnover * between(0.0005, 0.003, *words, "forced")
    falling, rising = (math.exp(min(4.0, max(0.0, sign * move_bps) / 15)) - 1 for sign in (-1, 1))
    crowd = 0.55 + 0.14 * _tide(seed, f"{bar.symbol}/accounts", bar.end) - 0.02 * math.tanh(move_bps / 40)
    top = 0.52 + 0.1 * _tide(seed, f"{bar.symbol}/top", bar.end) + 0.02 * math.tanh(move_bps / 40)
    return Reading(
        start=bar.start,
        end=bar.end,
        taker_buy=_dollars(turnover * share),
        taker_sell=_dollars(turnover * (1 - share)),
        long_liquidated=_dollars(forced * (falling + 0.05 * uniform(*words, "longs"))),
        short_liquidated=_dollars(forced * (rising + 0.05 * uniform(*words, "shorts"))),
        long_accounts=_part(crowd),
        top_long=_part(top),
    )


def whale_trade(seed: int, bar: Bar) -> WhaleTrade | None:
    """The large trade of the minute of `bar`, or None."""
    words = (seed, "whale", bar.symbol, bar.end.isoformat())
    if uniform(*words, "happens") >= 0.08:
        return None
    long = uniform(*words, "long") < 0.5 + 0.35 * _tide(seed, bar.symbol, bar.end)
    value = WHALE_LEAST_USD * (1.0 - uniform(*words, "value")) ** -0.6
    leverage = LEVERAGES[int(uniform(*words, "leverage") * len(LEVERAGES))][0]
    away = Decimal(1) + (Decimal(-1) if long else Decimal(1)) * Decimal("0.9") / leverage
    size = (Decimal(str(round(value, 2))) / bar.close).quantize(Decimal("0.00001"))
    return WhaleTrade(
        at=bar.end,
        holder=f"0x{int(uniform(*words, 'holder') * 2**52):040x}",
        size=size if long else -size,
        entry_price=bar.close,
        liquidation_price=(bar.close * away).quantize(CENT),
        value=(size * bar.close).quantize(CENT),
        opened=uniform(*words, "opened") < 0.6,
    )


def together(readings: Iterable[Reading], interval: timedelta) -> list[Reading]:
    """Readings of whole intervals from midnight of UTC on: amounts are added, parts are those of the last minute."""
    groups: dict[datetime, list[Reading]] = {}
    for each in readings:
        groups.setdefault(MONDAY + (each.start - MONDAY) // interval * interval, []).append(each)
    return [
        Reading(
            start=start,
            end=start + interval,
            taker_buy=sum((each.taker_buy for each in found), Decimal(0)),
            taker_sell=sum((each.taker_sell for each in found), Decimal(0)),
            long_liquidated=sum((each.long_liquidated for each in found), Decimal(0)),
            short_liquidated=sum((each.short_liquidated for each in found), Decimal(0)),
            long_accounts=found[-1].long_accounts,
            top_long=found[-1].top_long,
        )
        for start, found in groups.items()
    ]


def heatmap(seed: int, candles: Sequence[Bar]) -> Heatmap:
    """Positions opened at each close, by leverage, where they would be liquidated; those passed since are gone."""
    price = float(candles[-1].close)
    bottom, step = price * (1 - HEATMAP_REACH), price * 2 * HEATMAP_REACH / (HEATMAP_LEVELS - 1)
    reached = _reached_after(candles)
    cells: dict[tuple[int, int], float] = {}
    for column, bar in enumerate(candles):
        opened = float(bar.close * bar.volume) * 20
        weight = between(0.3, 0.7, seed, "heatmap", bar.symbol, bar.start.isoformat())
        for leverage, part in LEVERAGES:
            for long in (True, False):
                at = float(bar.close) * (1 + (-0.9 if long else 0.9) / leverage)
                lowest, highest = reached[column + 1]
                passed = lowest <= at if long else highest >= at
                level = round((at - bottom) / step)
                if passed or not 0 <= level < HEATMAP_LEVELS:
                    continue
                amount = opened * part * (weight if long else 1 - weight)
                cells[column, level] = cells.get((column, level), 0.0) + amount
    return Heatmap(
        levels=tuple(_dollars(bottom + step * number) for number in range(HEATMAP_LEVELS)),
        cells=tuple((column, level, _dollars(cells[column, level])) for column, level in sorted(cells)),
        candles=tuple(candles),
    )


def _reached_after(candles: Sequence[Bar]) -> list[tuple[float, float]]:
    """For each place, the lowest and the highest price from there on; after the last one nothing was reached."""
    found = [(math.inf, -math.inf)]
    for bar in reversed(candles):
        low, high = found[-1]
        found.append((min(low, float(bar.low)), max(high, float(bar.high))))
    return found[::-1]


def _candles(bars: list[Bar], size: timedelta) -> list[Bar]:
    groups: dict[datetime, list[Bar]] = {}
    for bar in bars:
        groups.setdefault(MONDAY + (bar.start - MONDAY) // size * size, []).append(bar)
    return [merged(found, start, min(start + size, bars[-1].end)) for start, found in groups.items()]


def _tide(seed: int, name: str, at: datetime) -> float:
    """A slow drift from -1 to 1: it goes from one hour's value to the next one's."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    gone = (at - hour) / timedelta(hours=1)
    before, after = (between(-1.0, 1.0, seed, "tide", name, (hour + timedelta(hours=n)).isoformat()) for n in (0, 1))
    return before * (1 - gone) + after * gone


def _dollars(value: float) -> Decimal:
    return Decimal(str(round(value, 2))).quantize(CENT)


def _part(value: float) -> Decimal:
    return Decimal(str(round(min(0.95, max(0.05, value)), 4))).quantize(Decimal("0.0001"))
