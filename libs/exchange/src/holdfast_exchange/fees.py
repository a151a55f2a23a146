"""What a fill costs: commission of equities, the venue's fees of crypto (domain rules: fee gate, CG).

Crypto fees are taken from what is received: coins of a purchase, dollars of a sale. The rate depends on the side of the
book (maker, taker) and on the dollars traded in crypto over the last thirty days.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from holdfast_exchange.assets import FRACTION, Asset
from holdfast_exchange.books import Entry, EntryKind, in_cash
from holdfast_exchange.orders import ZERO, Fill, Side

BASIS_POINT = Decimal("0.0001")
DOLLAR_STEP = Decimal("0.00000001")
"""Fees in dollars are rounded up to what the ledger keeps of cash."""
VOLUME_WINDOW = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates in basis points from `volume` dollars of thirty days on."""

    volume: Decimal
    maker_bps: Decimal
    taker_bps: Decimal


def _tier(volume: int, maker: int, taker: int) -> Tier:
    return Tier(Decimal(volume), Decimal(maker), Decimal(taker))


CRYPTO_TIERS = (
    _tier(0, 15, 25),
    _tier(100_000, 12, 22),
    _tier(500_000, 10, 20),
    _tier(1_000_000, 8, 18),
    _tier(10_000_000, 5, 15),
    _tier(25_000_000, 2, 13),
    _tier(50_000_000, 2, 12),
    _tier(100_000_000, 0, 10),
)
"""Alpaca's published table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule:
    """Defaults: equities are free, crypto costs what Alpaca asks."""

    per_share: Decimal = ZERO
    """Dollars of commission for each share of an equity."""
    per_order: Decimal = ZERO
    """Dollars of commission for each equity order, with its first fill."""
    crypto_tiers: tuple[Tier, ...] = CRYPTO_TIERS
    """Empty: no fees. From the smallest volume up."""

    def tier(self, volume: Decimal) -> Tier | None:
        """The tier of `volume` dollars in thirty days; None where there are no fees."""
        reached = [tier for tier in self.crypto_tiers if tier.volume <= volume]
        return reached[-1] if reached else None

    def tier_number(self, volume: Decimal) -> int:
        """1 for the lowest, 0 where there are no tiers."""
        return sum(1 for tier in self.crypto_tiers if tier.volume <= volume)


@dataclass(slots=True)
class CryptoVolume:
    """Dollars traded in crypto over the last thirty days."""

    _trades: deque[tuple[datetime, Decimal]] = field(default_factory=deque)
    _total: Decimal = ZERO

    def add(self, at: datetime, value: Decimal) -> None:
        self._trades.append((at, value))
        self._total += value
        while self._trades[0][0] <= at - VOLUME_WINDOW:
            self._total -= self._trades.popleft()[1]

    def at(self, now: datetime) -> Decimal:
        old = sum((value for at, value in self._trades if at <= now - VOLUME_WINDOW), ZERO)
        return self._total - old


def fee_of(
    fill: Fill, asset: Asset, schedule: FeeSchedule, *, volume: Decimal, maker: bool, first: bool
) -> Entry | None:
    """What `fill` costs beside its price, ready to be booked after it; None where it is free.

    `volume` is the account's crypto volume before it; `first`: it is its order's first fill.
    """
    if not asset.is_crypto:
        amount = schedule.per_share * fill.quantity + (schedule.per_order if first else ZERO)
        if not amount:
            return None
        return Entry(
            kind=EntryKind.FEE,
            at=fill.at,
            symbol=fill.symbol,
            cash=-amount.quantize(DOLLAR_STEP, rounding=ROUND_UP),
            description="commission",
            order_id=fill.order_id,
        )
    tier = schedule.tier(volume)
    rate = ZERO if tier is None else (tier.maker_bps if maker else tier.taker_bps) * BASIS_POINT
    if not rate:
        return None
    what = f"{'maker' if maker else 'taker'} fee of {rate / BASIS_POINT:f} basis points"
    if fill.side is Side.BUY:
        coins = (fill.quantity * rate).quantize(FRACTION, rounding=ROUND_UP)
        if coins >= fill.quantity:
            return None  # the smallest part of a coin cannot be divided
        return Entry(
            kind=EntryKind.CRYPTO_FEE,
            at=fill.at,
            symbol=fill.symbol,
            shares=-coins,
            # At the price of this fill: the coins that remain have cost exactly what was paid for each.
            cost=-in_cash(coins * fill.price),
            price=fill.price,
            description=what,
            order_id=fill.order_id,
        )
    dollars = (fill.quantity * fill.price * rate).quantize(DOLLAR_STEP, rounding=ROUND_UP)
    return Entry(
        kind=EntryKind.CRYPTO_FEE,
        at=fill.at,
        symbol=fill.symbol,
        cash=-dollars,
        shown_quantity=ZERO,
        price=fill.price,
        description=what,
        order_id=fill.order_id,
    )
