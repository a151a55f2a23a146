"""How an exchange is set up, and what a command answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from holdfast_exchange.account import AccountConfig
from holdfast_exchange.orders import Order, Update


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConfig:
    """How the account starts and how generous the market is."""

    starting_cash: Decimal = Decimal(100_000)
    slippage_bps: Decimal = Decimal(1)
    volume_share: Decimal = Decimal(1)
    """Part of a bar's volume that the account's orders may take."""
    pending_secs: Decimal = Decimal(0)
    """Market seconds for which a new order, a cancel and a replacement are pending."""
    assets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Fields of `assets.Asset` that differ from the defaults, by symbol."""
    account: AccountConfig = field(default_factory=AccountConfig)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has done: the order it made, if any, and the updates, in order."""

    order: Order | None = None
    updates: list[Update] = field(default_factory=list)
