"""Prices of orders: always on the instrument's tick, always on the safe side of what they are made from."""

from decimal import Decimal

from holdfast_core.instruments import round_price


def stop_below(price: Decimal, fraction: Decimal, *, book: str = "equity") -> Decimal:
    """Stop price of a long position: `fraction` (0.05 is 5 %) below `price`, rounded up: never more is risked."""
    return round_price(price * (1 - fraction), up=True, book=book)


def sendable(price: Decimal | None, *, selling: bool, book: str = "equity") -> Decimal | None:
    """A price that came from elsewhere, on its tick: a buy never pays more, a sell stop never triggers later."""
    return None if price is None else round_price(price, up=selling, book=book)
