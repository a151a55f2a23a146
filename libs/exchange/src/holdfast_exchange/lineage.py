"""Names of a company over time: which symbol's rows are the history of a symbol (BS-2).

A symbol means the company that had it on the as-of day. Its rows before a change of name are recorded under the old
one; what has not happened at market time yet is not known.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.market import Market
from holdfast_exchange.recording import Bar, QuoteBar, day_of

Row = TypeVar("Row", Bar, QuoteBar)


@dataclass(frozen=True, slots=True)
class Named:
    """A company had `symbol` on the days from `first` to before `following`; None: always before, or to this day."""

    symbol: str
    first: date | None
    following: date | None


def names(actions: Iterable[CorporateAction], symbol: str, asof: date, today: date) -> list[Named]:
    """Every name of the company that was called `symbol` on `asof`, oldest first; only changes up to `today` count."""
    changes = sorted(
        (action for action in actions if action.kind is ActionKind.NAME_CHANGE and action.ex_date <= today),
        key=lambda action: action.ex_date,
    )
    found = [Named(symbol, None, None)]
    for change in reversed([change for change in changes if change.ex_date <= asof]):
        if change.new_symbol == found[0].symbol:
            found[0] = replace(found[0], first=change.ex_date)
            found.insert(0, Named(change.symbol, None, change.ex_date))
    for change in (change for change in changes if change.ex_date > asof):
        if change.symbol == found[-1].symbol:
            found[-1] = replace(found[-1], following=change.ex_date)
            found.append(Named(change.new_symbol, change.ex_date, None))
    return found


def under_one_name(market: Market, find: Callable[[str], list[Row]], symbol: str, asof: date | None) -> list[Row]:
    """What `find` gives for each name of the company behind `symbol`, under that name; as recorded where there is
    only one, or where `asof` is None."""
    today = day_of(symbol, market.released)
    company = names(market.corporate_actions, symbol, asof or today, today) if asof is not None else []
    if len(company) < 2:
        return find(symbol) if symbol in market.symbols else []
    found: list[Row] = []
    for named in company:
        if named.symbol not in market.symbols:
            continue
        for row in find(named.symbol):
            day = day_of(named.symbol, row.start)
            if (named.first is None or day >= named.first) and (named.following is None or day < named.following):
                found.append(row if named.symbol == symbol else replace(row, symbol=symbol))
    return found
