"""Rotation over leveraged and defensive ETFs by daily RSI and SMA, decided at each open (SY-1).

The rule speaks of roles; configuration maps them to symbols, so that it runs on data that lacks an ETF.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from holdfast_core.indicators import rsi, sma
from holdfast_runtime.ports.venue import Timeframe
from holdfast_signal.strategy import Desire, Strategy, StrategyParameters, Window, Wish


class Role(StrEnum):
    """Places of the rule, with the ETF that the original holds there."""

    MARKET = "market"  # SPY
    GROWTH = "growth"  # TQQQ
    LEVERAGED_GROWTH = "leveraged_growth"  # SPXL
    TECHNOLOGY = "technology"  # XLK
    LEVERAGED_TECHNOLOGY = "leveraged_technology"  # TECL
    MANAGED_FUTURES = "managed_futures"  # KMLM
    VOLATILITY = "volatility"  # UVXY
    CASH = "cash"  # BIL
    INVERSE = "inverse"  # SQQQ
    BONDS = "bonds"  # BSV


Targets = Mapping[Role, Decimal]
HUNDRED = Decimal(100)
TARGET_ROLES = frozenset(
    {Role.LEVERAGED_GROWTH, Role.LEVERAGED_TECHNOLOGY, Role.VOLATILITY, Role.CASH, Role.INVERSE, Role.BONDS}
)
"""Roles that can be held; the others are only looked at."""


class EtfRotationParameters(StrategyParameters):
    """Roles and thresholds. A role that is not mapped counts as missing; cash that is not mapped is plain cash."""

    roles: dict[Role, str] = Field(description="Symbol of each role; a symbol may stand for several.")
    sma_days: int = Field(default=200, ge=2, le=400)
    rsi_days: int = Field(default=10, ge=2, le=100)
    defensive_rsi_days: int = Field(default=9, ge=2, le=100)
    growth_overbought: float = Field(default=79.0, ge=0, le=100)
    market_overbought: float = Field(default=80.0, ge=0, le=100)
    growth_oversold: float = Field(default=31.0, ge=0, le=100)
    leveraged_growth_oversold: float = Field(default=29.0, ge=0, le=100)
    volatility_extreme: float = Field(default=84.0, ge=0, le=100)
    volatility_high: float = Field(default=74.0, ge=0, le=100)
    technology_overbought: float = Field(default=81.0, ge=0, le=100)
    technology_oversold: float = Field(default=29.0, ge=0, le=100)
    bull_hedge_percent: Annotated[Decimal, Field(gt=0, lt=100)] = Decimal(25)
    bear_hedge_percent: Annotated[Decimal, Field(gt=0, lt=100)] = Decimal(15)
    exit_memory_sessions: int = Field(
        default=5,
        ge=1,
        le=40,
        description="A role held by the rule so many sessions ago is sold where it no longer is.",
    )


class Closes:
    """Daily closes by role, oldest first, all of the same length, and the indicators of them. None is missing."""

    def __init__(self, closes: Mapping[Role, list[float]]) -> None:
        self._closes = closes

    def close(self, role: Role) -> float | None:
        return self._closes[role][-1] if role in self._closes else None

    def sma(self, role: Role, days: int) -> float | None:
        return sma(self._closes[role], days) if role in self._closes else None

    def rsi(self, role: Role, days: int) -> float | None:
        return rsi(self._closes[role], days) if role in self._closes else None


def _above(value: float | None, threshold: float) -> bool:
    """Strict; a missing value is above nothing."""
    return value is not None and value > threshold


def _below(value: float | None, threshold: float) -> bool:
    """Strict; a missing value is below nothing."""
    return value is not None and value < threshold


def targets(closes: Closes, rule: EtfRotationParameters) -> Targets:
    """Target weight of each role to be held, by the rule table. The weights add up to 1."""
    price, trend = closes.close(Role.MARKET), closes.sma(Role.MARKET, rule.sma_days)
    if price is None or trend is None:
        return _all(Role.CASH)
    return _bull(closes, rule) if price > trend else _bear(closes, rule)


def _bull(closes: Closes, rule: EtfRotationParameters) -> Targets:
    days = rule.rsi_days
    if _above(closes.rsi(Role.GROWTH, days), rule.growth_overbought):
        return _hedge(rule.bull_hedge_percent)
    if _above(closes.rsi(Role.MARKET, days), rule.market_overbought):
        return _hedge(rule.bull_hedge_percent)
    return _switcher(closes, rule, bull=True)


def _bear(closes: Closes, rule: EtfRotationParameters) -> Targets:
    days = rule.rsi_days
    if _below(closes.rsi(Role.GROWTH, days), rule.growth_oversold):
        return _all(Role.LEVERAGED_TECHNOLOGY)
    if _below(closes.rsi(Role.LEVERAGED_GROWTH, days), rule.leveraged_growth_oversold):
        return _all(Role.LEVERAGED_GROWTH)
    fear = closes.rsi(Role.VOLATILITY, days)
    if _above(fear, rule.volatility_extreme):
        return _hedge(rule.bear_hedge_percent)
    if _above(fear, rule.volatility_high):
        return _all(Role.CASH)
    return _switcher(closes, rule, bull=False)


def _switcher(closes: Closes, rule: EtfRotationParameters, *, bull: bool) -> Targets:
    technology = closes.rsi(Role.TECHNOLOGY, rule.rsi_days)
    futures = closes.rsi(Role.MANAGED_FUTURES, rule.rsi_days)
    if technology is None or futures is None:
        return _all(Role.CASH)
    if technology > futures:
        overbought = technology > rule.technology_overbought
        return _all(Role.CASH if overbought else Role.LEVERAGED_TECHNOLOGY)
    if technology < rule.technology_oversold:
        return _all(Role.LEVERAGED_TECHNOLOGY)
    return _all(Role.CASH if bull else _defensive(closes, rule))


def _defensive(closes: Closes, rule: EtfRotationParameters) -> Role:
    """The stronger of inverse and bonds; the one that is there; cash where neither is. A tie goes to bonds."""
    inverse, bonds = (closes.rsi(role, rule.defensive_rsi_days) for role in (Role.INVERSE, Role.BONDS))
    if inverse is None:
        return Role.CASH if bonds is None else Role.BONDS
    return Role.INVERSE if bonds is None or inverse > bonds else Role.BONDS


def _hedge(percent: Decimal) -> Targets:
    return {Role.VOLATILITY: percent / HUNDRED, Role.CASH: 1 - percent / HUNDRED}


def _all(role: Role) -> Targets:
    return {role: Decimal(1)}


class EtfRotation(Strategy):
    """At each open: sells what the rule no longer holds, buys what it holds, as target weights.

    What the rule held before is computed anew from the same closes, so that it does not depend on having been there.
    Entries are asked for at every open (the gate refuses what is held already), so a missed one is made up for.
    """

    Parameters = EtfRotationParameters
    parameters: EtfRotationParameters
    timeframe: ClassVar[Timeframe | None] = Timeframe.DAY

    def __init__(self, symbols: tuple[str, ...], parameters: EtfRotationParameters) -> None:
        super().__init__(symbols, parameters)
        for role in sorted(TARGET_ROLES & parameters.roles.keys()):
            if parameters.roles[role] not in symbols:
                raise ValueError(f"parameters.roles.{role}: {parameters.roles[role]} is not among its symbols")

    @property
    def data_symbols(self) -> tuple[str, ...]:
        return tuple(sorted({*self.symbols, *self.parameters.roles.values()}))

    @property
    def _days(self) -> int:
        """Closes that one decision sees: always as many, since Wilder's smoothing never forgets."""
        rule = self.parameters
        return max(rule.sma_days, 20 * max(rule.rsi_days, rule.defensive_rsi_days))

    @property
    def lookback(self) -> int:
        return self._days + self.parameters.exit_memory_sessions

    def on_session_open(self, windows: Mapping[str, Window]) -> Iterable[Desire]:
        now = self._weights(windows, sessions_ago=0)
        before = {
            symbol
            for sessions_ago in range(1, self.parameters.exit_memory_sessions + 1)
            for symbol in self._weights(windows, sessions_ago=sessions_ago)
        }
        features = self._features(windows)
        for symbol in sorted(before - now.keys()):
            yield Desire(symbol=symbol, wish=Wish.EXIT_LONG, features=features)
        for symbol in sorted(now):
            yield Desire(symbol=symbol, wish=Wish.ENTER_LONG, target_weight=now[symbol], features=features)

    def _closes(self, windows: Mapping[str, Window], sessions_ago: int) -> Closes:
        closes = {}
        for role, symbol in self.parameters.roles.items():
            if symbol in windows:
                values = windows[symbol].closes
                end = len(values) - sessions_ago
                closes[role] = values[end - self._days : end]
        return Closes(closes)

    def _weights(self, windows: Mapping[str, Window], sessions_ago: int) -> dict[str, Decimal]:
        """Target weight of each symbol; roles that share one add up, at most to 1."""
        weights: dict[str, Decimal] = {}
        for role, weight in targets(self._closes(windows, sessions_ago), self.parameters).items():
            # A role without a symbol is held as plain cash.
            if symbol := self.parameters.roles.get(role):
                weights[symbol] = weights.get(symbol, Decimal(0)) + weight
        return weights

    def _features(self, windows: Mapping[str, Window]) -> dict[str, float]:
        closes, rule = self._closes(windows, 0), self.parameters
        found = {f"rsi_{role}": closes.rsi(role, rule.rsi_days) for role in sorted(rule.roles)}
        found["market_close"] = closes.close(Role.MARKET)
        found["market_sma"] = closes.sma(Role.MARKET, rule.sma_days)
        return {name: value for name, value in found.items() if value is not None}
