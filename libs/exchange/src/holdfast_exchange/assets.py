"""What may be traded, and how: the facts about a symbol that decide which orders it takes (BR-2, BR-5).

Defaults come from the symbol alone: a pair (`BTC/USD`) is crypto, everything else a US equity. A configuration
overrides single symbols.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

from holdfast_core.instruments import CRYPTO_TICK, tick_of


class AssetClass(StrEnum):
    """Alpaca's words."""

    US_EQUITY = "us_equity"
    CRYPTO = "crypto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One symbol. Sizes are shares or coins, prices dollars."""

    symbol: str
    asset_class: AssetClass
    name: str
    exchange: str
    tradable: bool = True
    """False: it exists, but every order is refused."""
    fractionable: bool = True
    marginable: bool = True
    shortable: bool = True
    easy_to_borrow: bool = True
    """False: a short sale is refused even where the asset is shortable."""
    min_order_size: Decimal | None = None
    """Smallest quantity of an order; None: no rule (equities have one on the amount instead)."""
    min_trade_increment: Decimal | None = None
    """Quantities are multiples of it; None: whole shares, or nine decimals where fractionable."""
    price_increment: Decimal | None = None
    """Prices are multiples of it; None: the tick of the price (two decimals, four below a dollar)."""

    @property
    def is_crypto(self) -> bool:
        return self.asset_class is AssetClass.CRYPTO

    def tick(self, price: Decimal) -> Decimal:
        """The smallest step of a price around `price`, in dollars."""
        return tick_of(price) if self.price_increment is None else self.price_increment


FRACTION = Decimal("0.000000001")
"""The smallest part of a share or coin that is traded: nine decimals."""


def asset_of(symbol: str, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Asset:
    """The asset behind a symbol; `overrides` has fields of Asset by symbol. Raises TypeError for an unknown field."""
    changes = overrides.get(symbol) if overrides else None
    return replace(_default(symbol), **changes) if changes else _default(symbol)


@cache
def _default(symbol: str) -> Asset:
    if "/" not in symbol:
        return Asset(symbol=symbol, asset_class=AssetClass.US_EQUITY, name=symbol, exchange="NYSE")
    return Asset(
        symbol=symbol,
        asset_class=AssetClass.CRYPTO,
        name=symbol,
        exchange="CRYPTO",
        marginable=False,
        shortable=False,
        easy_to_borrow=False,
        min_order_size=Decimal("0.0001"),
        min_trade_increment=FRACTION,
        price_increment=CRYPTO_TICK,
    )
