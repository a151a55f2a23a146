"""ASSET_UNKNOWN, ASSET_NOT_TRADABLE."""

from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, blocked, passed


class AssetTradable(Gate):
    """The broker's own word that the asset may be bought: nothing is assumed."""

    name = "asset"
    title = "Asset tradable"
    requirements = ("TL-7",)

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        asset = context.ledger.assets.get(signal.symbol)
        if asset is None:
            return blocked("ASSET_UNKNOWN", f"The broker has not told about {signal.symbol}.", {"known": "false"})
        numbers = {"tradable": str(asset.tradable).lower(), "status": asset.status}
        if not asset.tradable or asset.status.lower() not in ("", "active"):
            return blocked("ASSET_NOT_TRADABLE", f"{signal.symbol} is not tradable at the broker.", numbers)
        return passed(numbers)
