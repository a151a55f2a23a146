"""Prices of orders: always on the instrument's tick, always on the safe side of what they are made from."""

from decimal import Decimal

from holdfast_core.instruments import round_price


def stop_below(price: Decimal, fraction: Decimal, *, book: str = "equity", tick: Decimal | None = None) -> Decimal:
    """Stop price of a long position: `fraction` (0.05 is 5 %) below `price`, rounded up: never more is risked."""
    return round_price(price * (1 - fraction), up=True, book=book, tick=tick)


def limit_of_stop(stop_price: Decimal, slack: Decimal, *, book: str = "crypto", tick: Decimal | None = None) -> Decimal:
    """The least that a stop-limit sells at: `slack` (0.01 is 1 %) below its stop; lower than that the monitor sells."""
    return round_price(stop_price * (1 - slack), up=False, book=book, tick=tick)


def sendable(price: Decimal | None, *, selling: bool, book: str = "equity") -> Decimal | None:
    """A price that came from elsewhere, on its tick: a buy never pays more, a sell stop never triggers later."""
    return None if price is None else round_price(price, up=selling, book=book)
