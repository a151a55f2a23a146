"""A signal on its way through the gates, the cycle it belongs to, and what the batch was already allowed."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

from holdfast_core.instruments import Lot, lot_of
from holdfast_core.money import ZERO
from holdfast_gate.domain.funds import Funds
from holdfast_gate.domain.ledger import LedgerView
from holdfast_gate.domain.market import Basis, Price
from holdfast_gate.domain.plan import Plan
from holdfast_gate.domain.rules import Rules, StrategyRules


class Direction(Enum):
    ENTER_LONG = "ENTER_LONG"
    EXIT_LONG = "EXIT_LONG"
    REDUCE_LONG = "REDUCE_LONG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A scored signal and, gate by gate, the order it would become."""

    signal_id: str
    symbol: str
    direction: Direction
    score: float
    target_weight: Decimal
    signal_price: Decimal | None
    """Last price the strategy saw."""
    stop_fraction: Decimal | None
    """None: the strategy's own from the configuration."""
    basis: Basis | None = None
    quantity: Decimal = ZERO
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None

    @property
    def cost(self) -> Decimal:
        """The most it may cost, in dollars."""
        return self.quantity * (self.limit_price or ZERO)

    @property
    def rank(self) -> tuple[int, float, str]:
        """Sales first, then by score, then by id: the order within a batch (order protocol, point 2)."""
        score = -math.inf if math.isnan(self.score) else self.score
        return (1 if self.direction is Direction.ENTER_LONG else 0, -score, self.signal_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleFacts:
    """The batch that is decided."""

    cycle_id: str
    strategy: str
    book: str
    market_time: datetime
    valid_until: datetime

    def spent(self, now: datetime) -> float:
        """The share of its time that is over at `now`: 0 when it was published, from 1 on it is late (IN-2)."""
        whole = self.valid_until - self.market_time
        return (now - self.market_time) / whole if whole else 1.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """What earlier signals of the same batch were allowed: later ones count it."""

    entries: int = 0
    symbols: frozenset[str] = frozenset()
    cost: Decimal = ZERO

    def plus(self, candidate: Candidate) -> "Allowed":
        return Allowed(self.entries + 1, self.symbols | {candidate.symbol}, self.cost + candidate.cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a gate may know. Time comes in as a value; nothing here changes while a signal is evaluated."""

    rules: Rules
    cycle: CycleFacts
    now: datetime
    session_open: bool
    ledger: LedgerView
    prices: Mapping[str, Price]
    funds: Funds
    strategy: StrategyRules | None
    """None: no strategy of that name is configured."""
    allowed: Allowed = Allowed()
    plan: Plan | None = None
    """What brings a rebalanced strategy to its targets; None: its entries are sized by the allocation."""

    def planned(self, candidates: Iterable[Candidate]) -> "Context":
        """With the plan of the batch, where its strategy is rebalanced."""
        if self.strategy is None or self.strategy.policy is None:
            return self
        targets = {each.symbol: each.target_weight for each in candidates if each.direction is not Direction.EXIT_LONG}
        plan = Plan.of(
            self.strategy.policy, targets, strategy=self.cycle.strategy, ledger=self.ledger, prices=self.prices,
            funds=self.funds, now=self.now, rules=self.rules,
        )  # fmt: skip
        return replace(self, plan=plan)

    def lot(self, symbol: str) -> Lot:
        """Sizes of orders in `symbol`."""
        asset = self.ledger.assets.get(symbol)
        return lot_of(self.cycle.book) if asset is None else asset.lot(self.cycle.book)

    def tick(self, symbol: str) -> Decimal | None:
        """Step of prices in `symbol`, in dollars; None: the book's rule."""
        asset = self.ledger.assets.get(symbol)
        return asset.price_increment if asset is not None and self.cycle.book == "crypto" else None

    @property
    def fee_rate(self) -> Decimal:
        """What a fill may cost beside its price, as a fraction of it."""
        return self.rules.crypto_fee if self.cycle.book == "crypto" else ZERO
