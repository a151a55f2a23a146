"""Booking what happened: a fill with its settlement day and its fee."""

from decimal import Decimal

from holdfast_exchange import account
from holdfast_exchange.fees import fee_of
from holdfast_exchange.orders import Fill, Intent, Side
from holdfast_exchange.state import State


def book_fill(state: State, fill: Fill, *, maker: bool = False) -> Decimal:
    """Books `fill` and what it costs; returns the position that the account has afterwards, in shares or coins."""
    asset = state.asset(fill.symbol)
    proceeds = fill.side is Side.SELL and not asset.is_crypto
    settles_on = account.settles_on(state, fill.at) if proceeds else None
    # Leave to short was asked for when the order was taken: it may have been withdrawn since.
    may_short = state.disturbances.oversells or state.orders[fill.order_id].intent is Intent.SELL_TO_OPEN
    state.books.apply(fill, may_short=may_short, settles_on=settles_on)
    volume = state.account.crypto_volume
    fee = fee_of(
        fill,
        asset,
        state.account.config.fees,
        volume=volume.at(fill.at),
        maker=maker,
        first=fill.cumulative == fill.quantity,
    )
    if fee is not None:
        state.books.book([fee])
    if asset.is_crypto:
        volume.add(fill.at, fill.quantity * fill.price)
    return state.books.held(fill.symbol)
