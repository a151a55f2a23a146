"""What the matching engine says, in the words of ports.venue."""

from holdfast_exchange.books import Entry
from holdfast_exchange.orders import Fill, Refusal
from holdfast_runtime.ports import venue

_KINDS = (
    ("unique", venue.RefusalKind.DUPLICATE_CLIENT_ID),
    ("wash trade", venue.RefusalKind.WASH_TRADE),
    ("insufficient qty", venue.RefusalKind.SHARES_HELD),
    ("insufficient balance", venue.RefusalKind.SHARES_HELD),
    ("buying power", venue.RefusalKind.BUYING_POWER),
    ("stop price must be", venue.RefusalKind.STOP_THROUGH_PRICE),
    ("already in", venue.RefusalKind.NOT_CANCELABLE),
    ("not tradable", venue.RefusalKind.NOT_TRADABLE),
)


def told_fill(fill: Fill) -> venue.FillActivity:
    return venue.FillActivity(
        activity_id=fill.id,
        order_id=fill.order_id,
        symbol=fill.symbol,
        side=venue.Side(fill.side.value),
        quantity=fill.quantity,
        cumulative_quantity=fill.cumulative,
        price=fill.price,
        at=fill.at,
    )


def told_fee(entry: Entry, place: int) -> venue.FeeActivity:
    return venue.FeeActivity(
        activity_id=f"activity-{place}",
        kind=entry.kind.value,
        symbol=entry.symbol,
        quantity=entry.shares,
        cash=entry.cash,
        price=entry.price,
        at=entry.at,
        description=entry.description,
    )


def told_refusal(refusal: Refusal) -> venue.OrderRefused:
    lowered = refusal.message.lower()
    kind = next((kind for words, kind in _KINDS if words in lowered), venue.RefusalKind.OTHER)
    return venue.OrderRefused(kind, refusal.message, http_status=refusal.status, code=str(refusal.code))
