"""Sizes and steps of what is traded: the broker's word where it gave one, else the book's rule."""

from collections.abc import Iterable
from decimal import Decimal

from holdfast_core.instruments import Lot, lot_of
from holdfast_runtime.ports.venue import BrokerAsset


class Instruments:
    """What the broker has told of its assets, as far as orders depend on it."""

    def __init__(self) -> None:
        self._assets: dict[str, BrokerAsset] = {}

    def learn(self, assets: Iterable[BrokerAsset]) -> None:
        """Takes over what the broker says of them."""
        self._assets.update((asset.symbol, asset) for asset in assets)

    def lot(self, symbol: str, book: str) -> Lot:
        """What one order may be about. Shares are whole: only whole ones can have a stop that stays overnight."""
        rule, asset = lot_of(book), self._assets.get(symbol)
        if asset is None or book == "equity":
            return rule
        return Lot(asset.min_trade_increment or rule.increment, asset.min_order_size or rule.minimum)

    def tick(self, symbol: str, book: str) -> Decimal | None:
        """Step of its prices in dollars; None: the book's rule."""
        asset = self._assets.get(symbol)
        return asset.price_increment if asset is not None and book != "equity" else None
