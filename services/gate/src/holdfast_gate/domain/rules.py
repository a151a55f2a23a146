"""The limits that the gates apply, read once from the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Self

from holdfast_core.portfolio import Policy
from holdfast_runtime.settings import Settings, VenueKind

BASIS_POINT = Decimal("0.0001")
MIN_WALL_STALE_SECS = 2.0
"""Nothing is called stale within so much wall time (order protocol, freshness)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRules:
    """What the configuration says of one strategy."""

    strategy: str
    symbols: frozenset[str]
    allocation: Decimal
    """Dollars that a target weight of 1 stands for."""
    stop_fraction: Decimal
    enabled: bool
    policy: Policy | None = None
    """How its target weights are followed by sales and purchases; None: it is not rebalanced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All limits. Money in dollars, fractions of 1, durations in market time."""

    max_positions: int
    max_new_per_cycle: int
    cooldown: timedelta
    collar: Decimal
    max_order_notional: Decimal
    max_symbol_notional: Decimal
    min_order_notional: Decimal
    buying_power_fraction: Decimal
    max_gross_exposure: Decimal
    crypto_fee: Decimal
    """Of what a crypto fill is worth."""
    max_entries_per_symbol_day: int
    entry_threshold: float
    verdict_max_age: timedelta
    quote_stale: timedelta
    bar_grace: timedelta
    min_stale: timedelta
    """Market time that passes in MIN_WALL_STALE_SECS; zero in lock-step, where only market time counts."""
    strategies: Mapping[str, StrategyRules]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits of this configuration."""
        limits = settings.gate
        speed = settings.replay.speed if settings.venue.kind is VenueKind.PAPERMARKET else 1.0
        return cls(
            max_positions=limits.max_positions,
            max_new_per_cycle=limits.max_new_per_cycle,
            cooldown=timedelta(seconds=limits.cooldown_secs),
            collar=limits.collar,
            max_order_notional=limits.max_order_notional,
            max_symbol_notional=limits.max_symbol_notional,
            min_order_notional=limits.min_order_notional,
            buying_power_fraction=limits.buying_power_fraction,
            max_gross_exposure=limits.max_gross_exposure,
            crypto_fee=limits.crypto_fee_bps * BASIS_POINT,
            max_entries_per_symbol_day=limits.max_entries_per_symbol_day,
            entry_threshold=limits.entry_threshold,
            verdict_max_age=timedelta(seconds=settings.execution.verdict_max_age_secs),
            quote_stale=timedelta(seconds=settings.feed.quote_stale_secs),
            bar_grace=timedelta(seconds=settings.feed.bar_grace_secs),
            min_stale=timedelta(seconds=MIN_WALL_STALE_SECS * speed),
            strategies={
                each.id: StrategyRules(
                    strategy=each.id,
                    symbols=frozenset(each.symbols),
                    allocation=each.allocation,
                    stop_fraction=each.stop_fraction,
                    enabled=each.enabled,
                    policy=each.rebalance.policy if each.rebalance is not None else None,
                )
                for each in settings.traded
            },
        )
