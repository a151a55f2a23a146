"""What an answer means: the one place where HTTP becomes the port's errors (order protocol, point 6)."""

from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports.venue import OrderRefused, OutcomeUnknown, RefusalKind, Throttled, VenueUnavailable
from holdfast_venue.http import Answer
from holdfast_venue.limiter import HTTP_THROTTLED

PROVEN_NO = frozenset({400, 403, 404, 422})
"""Statuses that, with a message of the venue's own, say that nothing was done. All others leave it unknown."""
READ_RETRY_SECS = 1.0

# In this order: the first line whose words are all in the message decides. The code does not: it varies (trap 6).
_KINDS: tuple[tuple[tuple[str, ...], RefusalKind], ...] = (
    (("client_order_id", "unique"), RefusalKind.DUPLICATE_CLIENT_ID),
    (("client order id", "unique"), RefusalKind.DUPLICATE_CLIENT_ID),
    (("client_order_id", "exists"), RefusalKind.DUPLICATE_CLIENT_ID),
    (("wash trade",), RefusalKind.WASH_TRADE),
    (("opposite side",), RefusalKind.WASH_TRADE),
    (("held_for_orders",), RefusalKind.SHARES_HELD),
    (("held for orders",), RefusalKind.SHARES_HELD),
    (("insufficient qty",), RefusalKind.SHARES_HELD),
    (("buying power",), RefusalKind.BUYING_POWER),
    (("insufficient balance for usd",), RefusalKind.BUYING_POWER),
    # Of coins: `insufficient balance for BTC` is what shares say as `insufficient qty`.
    (("insufficient balance",), RefusalKind.SHARES_HELD),
    (("not cancelable",), RefusalKind.NOT_CANCELABLE),
    (("cannot be canceled",), RefusalKind.NOT_CANCELABLE),
    (("stop", "must be", "base_price"), RefusalKind.STOP_THROUGH_PRICE),
    (("stop", "must be", "current price"), RefusalKind.STOP_THROUGH_PRICE),
    (("stop", "must be", "market price"), RefusalKind.STOP_THROUGH_PRICE),
    (("market is closed",), RefusalKind.MARKET_CLOSED),
    (("market hours",), RefusalKind.MARKET_CLOSED),
    (("not tradable",), RefusalKind.NOT_TRADABLE),
    (("not active",), RefusalKind.NOT_TRADABLE),
    (("asset", "not found"), RefusalKind.NOT_TRADABLE),
    (("could not find asset",), RefusalKind.NOT_TRADABLE),
    (("halted",), RefusalKind.NOT_TRADABLE),
)


def kind_of(message: str) -> RefusalKind:
    """Which no the venue's message says."""
    lowered = message.lower()
    return next((kind for words, kind in _KINDS if all(word in lowered for word in words)), RefusalKind.OTHER)


def write_error(answer: Answer, *, operation: str) -> HoldfastError:
    """What to raise for a write that was not answered with 2xx."""
    if answer.status == HTTP_THROTTLED:
        return Throttled(f"{operation}: the venue's rate limit", after_secs=answer.reset_secs)
    if answer.status in PROVEN_NO and answer.message:
        kind = kind_of(answer.message)
        return OrderRefused(kind, answer.message, http_status=answer.status, code=answer.code)
    return OutcomeUnknown(f"{operation}: HTTP {answer.status}")


def read_error(answer: Answer, *, operation: str) -> HoldfastError:
    """What to raise for a read that was not answered with 2xx."""
    if answer.status == HTTP_THROTTLED:
        return Throttled(f"{operation}: the venue's rate limit", after_secs=answer.reset_secs)
    detail = f" {answer.message}" if answer.message else ""
    return VenueUnavailable(f"{operation}: HTTP {answer.status}{detail}", after_secs=READ_RETRY_SECS)
