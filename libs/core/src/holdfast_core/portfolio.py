"""Target weights to trades: what is too much is sold, then what is missing is bought with the cash there is (SY-2).

Pure, and the same for the same facts: after its trades were made at the same prices there is nothing left to trade.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from holdfast_core.instruments import Lot
from holdfast_core.money import ZERO


@dataclass(frozen=True, slots=True)
class Sleeve:
    """What one of several strategies wants. `share`: its part of the account, 0 to 1; `weights`: by symbol, of that
    part, -1 to 1."""

    share: Decimal
    weights: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How closely targets are followed."""

    cash_buffer: Decimal
    """Fraction of the equity that stays cash."""
    min_trade: Decimal
    """Dollars of the smallest trade."""
    band: Decimal
    """Fraction of the equity by which a holding may differ from its target before it is traded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A symbol with its target. `weight`: of what may be invested, 0 to 1; `held` in shares.

    `bid` and `ask` in dollars, the bid the lower one: a sale is measured by what it brings, a purchase by its cost."""

    symbol: str
    weight: Decimal
    held: Decimal
    bid: Decimal
    ask: Decimal
    lot: Lot


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A sale or a purchase of `quantity` shares, worth `value` dollars at the bid or the ask of its line."""

    symbol: str
    sells: bool
    quantity: Decimal
    value: Decimal


def consolidated(sleeves: Iterable[Sleeve]) -> dict[str, Decimal]:
    """One target weight for each symbol that any of them names: opposite wishes net out, and nothing is held short."""
    sums: dict[str, Decimal] = {}
    for sleeve in sleeves:
        for symbol, weight in sleeve.weights.items():
            sums[symbol] = sums.get(symbol, ZERO) + sleeve.share * weight
    return {symbol: max(total, ZERO) for symbol, total in sorted(sums.items())}


def rebalance(lines: Iterable[Line], *, equity: Decimal, cash: Decimal, policy: Policy) -> tuple[Trade, ...]:
    """The trades that bring every line to its target: sales by size, then purchases, new symbols before additions.

    `equity` and `cash` in dollars. Purchases together cost at most the cash, with the proceeds of the sales, less the
    buffer. What is wanted no more is sold whole, whatever the band; so is what would leave less than the smallest
    trade, or than a stop can be about: its target would not be bought either.
    """
    buffer = equity * policy.cash_buffer
    band = equity * policy.band
    targets = [(line, line.weight * max(equity - buffer, ZERO)) for line in lines]
    excesses = [(line, line.held * line.bid - target) for line, target in targets]
    sales = [
        trade
        for line, excess in excesses
        if excess > 0 and (excess > band or not line.weight) and (trade := _sale(line, excess, policy)) is not None
    ]
    sales.sort(key=lambda each: (-each.value, each.symbol))
    free = cash + sum((each.value for each in sales), ZERO) - buffer
    purchases = []
    gaps = [(line, target - line.held * line.ask) for line, target in targets]
    for line, gap in sorted(gaps, key=lambda each: (each[0].held > 0, -each[1], each[0].symbol)):
        if gap > band and (trade := _purchase(line, min(gap, free), policy)) is not None:
            purchases.append(trade)
            free -= trade.value
    return (*sales, *purchases)


def _sale(line: Line, dollars: Decimal, policy: Policy) -> Trade | None:
    quantity = line.lot.bought_for(dollars, line.bid) if line.weight else line.held
    left = line.held - quantity
    if quantity and (left * line.bid < policy.min_trade or not line.lot.tradable(left)):
        quantity = line.held
    return _trade(line, quantity, line.bid, policy, sells=True)


def _purchase(line: Line, dollars: Decimal, policy: Policy) -> Trade | None:
    return _trade(line, line.lot.bought_for(dollars, line.ask), line.ask, policy, sells=False)


def _trade(line: Line, quantity: Decimal, price: Decimal, policy: Policy, *, sells: bool) -> Trade | None:
    value = quantity * price
    if quantity <= 0 or value < policy.min_trade:
        return None
    return Trade(symbol=line.symbol, sells=sells, quantity=quantity, value=value)
