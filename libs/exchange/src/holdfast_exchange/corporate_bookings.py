"""What a corporate action does to the account: positions, cash, the prices that are shown before the first new trade.

Money is conserved in every one: a split keeps the cost, a fraction of a share is paid out at the market's price, a
dividend is credited to who is long and debited to who is short at the ex-date.
"""

from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from holdfast_core.money import CENT
from holdfast_exchange.assets import FRACTION
from holdfast_exchange.books import Entry, EntryKind
from holdfast_exchange.corporate_actions import SPLITS, ActionKind, CorporateAction
from holdfast_exchange.orders import AVERAGE_DIGITS, ZERO

if TYPE_CHECKING:
    from holdfast_exchange.state import State

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Owed:
    """A dividend between its ex-date and its payment: `quantity` shares were entitled, negative where they are owed."""

    action: CorporateAction
    quantity: Decimal


def pay_dividends(state: "State", today: date) -> None:
    """Pays what is due up to `today`."""
    due = [owed for owed in state.account.owed if owed.action.paid_on <= today]
    state.account.owed = [owed for owed in state.account.owed if owed.action.paid_on > today]
    for owed in due:
        amount = (owed.quantity * owed.action.cash).quantize(CENT)
        entry = _entry(state, owed.action, EntryKind.DIVIDEND, cash=amount)
        entry = replace(entry, shown_quantity=owed.quantity, per_share=owed.action.cash, sub_kind="CDIV")
        state.books.book([entry])


def take_effect(state: "State", action: CorporateAction) -> None:
    """Changes positions, and what the prices from before are worth in new shares. Orders are adjusted elsewhere."""
    account, held = state.account, state.books.held(action.symbol)
    if action.kind in SPLITS:
        state.market.restatements.add(action.symbol, ONE / action.ratio, until=state.market.released, since=state.now)
        _exchange(state, action, EntryKind.SPLIT, action.symbol)
    elif action.kind is ActionKind.CASH_DIVIDEND:
        if held:
            account.owed = [*account.owed, Owed(action, held)]
    elif action.kind is ActionKind.SPIN_OFF:
        if held:
            _receive(state, action, EntryKind.SPIN_OFF, action.new_symbol, held * action.ratio, ZERO)
    else:
        if action.kind is ActionKind.CASH_MERGER:
            _cashed(state, action)
        else:
            kind = EntryKind.NAME_CHANGE if action.kind is ActionKind.NAME_CHANGE else EntryKind.MERGER
            _exchange(state, action, kind, action.new_symbol)
        account.gone = account.gone | {action.symbol}


def _exchange(state: "State", action: CorporateAction, kind: EntryKind, into: str) -> None:
    """Old shares for new ones, with what the action pays in cash beside them."""
    position = state.books.positions.get(action.symbol)
    if position is None:
        return
    held, cost = position.quantity, position.cost
    cash = held * action.cash
    # Cash first gives back what the shares have cost; only what is more than that is profit.
    returned = cash if abs(cash) <= abs(cost) else cost
    removal = _entry(state, action, kind, cash=cash, shares=-held, cost=-cost, realised=cash - returned)
    kept = cost - returned
    state.books.book([removal, *_arrival(state, action, kind, into, held * action.ratio, kept, whole=_is_whole(held))])


def _receive(
    state: "State", action: CorporateAction, kind: EntryKind, into: str, quantity: Decimal, cost: Decimal
) -> None:
    state.books.book(
        _arrival(state, action, kind, into, quantity, cost, whole=_is_whole(state.books.held(action.symbol)))
    )


def _arrival(
    state: "State",
    action: CorporateAction,
    kind: EntryKind,
    into: str,
    quantity: Decimal,
    cost: Decimal,
    *,
    whole: bool,
) -> list[Entry]:
    """New shares, and cash in lieu of a fraction that an account of whole shares cannot have."""
    exact = quantity.quantize(FRACTION, rounding=ROUND_DOWN)
    kept = exact.quantize(ONE, rounding=ROUND_DOWN) if whole else exact
    against = state.books.held(into) if into != action.symbol else ZERO
    if against * exact < 0:
        # Long of one and short of the other: settled in cash, so that no position is netted without a trade.
        return [_in_lieu(state, action, into, exact, cost, ZERO, ZERO)]
    fraction = exact - kept
    entries = [_entry(state, action, kind, symbol=into, shares=exact, cost=cost)]
    if fraction:
        fraction_cost = cost if not kept else (cost * fraction / exact).quantize(AVERAGE_DIGITS)
        entries.append(_in_lieu(state, action, into, fraction, fraction_cost, -fraction, -fraction_cost))
    return entries


def _in_lieu(
    state: "State",
    action: CorporateAction,
    symbol: str,
    quantity: Decimal,
    paid: Decimal,
    shares: Decimal,
    cost: Decimal,
) -> Entry:
    """Cash for `quantity` shares that have cost `paid`; `shares` and `cost` leave the books with it."""
    price = state.price_now(symbol)
    if price is None:
        price = (paid / quantity).quantize(AVERAGE_DIGITS)
    cash = (quantity * price).quantize(CENT)
    entry = _entry(
        state,
        action,
        EntryKind.CASH_IN_LIEU,
        symbol=symbol,
        cash=cash,
        shares=shares,
        cost=cost,
        realised=cash - paid,
    )
    return replace(entry, price=price)


def _cashed(state: "State", action: CorporateAction) -> None:
    position = state.books.positions.get(action.symbol)
    if position is None:
        return
    cash = position.quantity * action.cash
    entry = _entry(
        state,
        action,
        EntryKind.MERGER,
        cash=cash,
        shares=-position.quantity,
        cost=-position.cost,
        realised=cash - position.cost,
    )
    state.books.book([replace(entry, price=action.cash)])


def _entry(
    state: "State",
    action: CorporateAction,
    kind: EntryKind,
    *,
    symbol: str = "",
    cash: Decimal = ZERO,
    shares: Decimal = ZERO,
    cost: Decimal = ZERO,
    realised: Decimal = ZERO,
) -> Entry:
    return Entry(
        kind=kind,
        at=state.now,
        symbol=symbol or action.symbol,
        cash=cash,
        shares=shares,
        cost=cost,
        realised=realised,
        group=action.id,
        description=f"{action.kind.value.replace('_', ' ')} of {action.symbol}",
    )


def _is_whole(quantity: Decimal) -> bool:
    return quantity == quantity.to_integral_value()
