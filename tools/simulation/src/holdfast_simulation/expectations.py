"""What must hold in each incident beside the invariants. Each asks a world that has come to its end, and says what it
would have expected instead of what it found."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_exchange.orders import Fill, Order, Side, Status
from holdfast_execution.adapters.sql import convert, tables
from holdfast_execution.domain.firings import BUY_MISSED
from holdfast_execution.domain.intents import IntentState
from holdfast_execution.rows import MAX_SENDS
from holdfast_runtime.ports.venue import SPLIT
from holdfast_simulation.plan_writing import CHAOS_SECS, SYMBOL
from holdfast_simulation.world.evidence import Departure
from holdfast_simulation.world.run import World
from holdfast_simulation.world.timed import CLOCK

ZERO = Decimal(0)
KNOWN_WITHIN_SECS = 45.0
"""Virtual seconds: a fill is known here so long after it was made, however it was lost."""
CUT_SECS = 12.0
"""The virtual second at which an entry whose time is over at 6.2 is long cancelled."""
PART_UNKNOWN_UNTIL_SECS = 25.0
"""Until then no look-up tells what became of the sale of a part."""
NEVER_ARRIVED = frozenset({IntentState.REJECTED, IntentState.NOT_SENT, IntentState.TOMBSTONED, IntentState.ABORTED})


# --- what an expectation looks at


def _fills(world: World, side: Side | None = None) -> list[Fill]:
    return [each for each in world.server.exchange.books.fills if side is None or each.side is side]


def _ended(world: World, *, stops: bool = False, status: Status = Status.FILLED) -> list[Order]:
    """The broker's orders of that end; `stops`: sales by a stop alone."""
    orders = world.server.exchange.orders.values()
    return [each for each in orders if each.status is status and (not stops or each.stop_price is not None)]


def _entries(world: World) -> list[Departure]:
    entries = world.history.entries
    return [each for each in world.server.evidence.departures.values() if each.client_order_id in entries]


def _state(world: World, client_order_id: str) -> IntentState | None:
    query = (
        sa.select(tables.intents.c.state)
        .join(tables.orders, tables.orders.c.intent_id == tables.intents.c.intent_id)
        .where(tables.orders.c.client_order_id == client_order_id)
    )
    with world.database.read.connect() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else IntentState(found)


def _secs(world: World, instant: datetime) -> float:
    """The virtual second of an instant of market time."""
    return (instant - world.market_clock.now()).total_seconds() / world.plan.speed + world.loop.time()


def _said(world: World, words: str) -> list[float]:
    """The virtual seconds at which the story says so."""
    return [float(line.split()[0]) for line in world.story.lines if words in line]


# --- what must hold


def counted_once(world: World) -> Iterator[str]:
    """The ledger has of every order what the broker has, and each part of it once."""
    table = tables.fills.c
    with world.database.read.connect() as connection:
        rows = connection.execute(sa.select(table.broker_order_id, table.side, table.quantity)).all()
        told = Counter(
            connection.execute(sa.select(tables.events.c.aggregate).where(tables.events.c.kind == "fill")).scalars()
        )
    ours: Counter[tuple[str, str]] = Counter()
    theirs: Counter[tuple[str, str]] = Counter()
    for row in rows:
        ours[row.broker_order_id, row.side] += convert.quantity(row.quantity)  # type: ignore[assignment]  # Decimals add up
    for fill in _fills(world):
        theirs[fill.order_id, fill.side.value] += fill.quantity  # type: ignore[assignment]  # as above
    if ours != theirs:
        yield f"the same fills on both sides, not {ours} here and {theirs} there"
    yield from (f"one fact about fill {name}, not {count}" for name, count in told.items() if count > 1)
    if not theirs:
        yield "something that fills"


def known_soon(world: World, *, within_secs: float = KNOWN_WITHIN_SECS) -> Iterator[str]:
    """No fill waits longer than the bound, whatever became of its frame."""
    table = tables.fills.c
    with world.database.read.connect() as connection:
        rows = connection.execute(sa.select(table.broker_order_id, table.filled_at, table.recorded_at)).all()
    for row in rows:
        late_secs = (row.recorded_at - row.filled_at) / 1e6 / world.plan.speed
        if late_secs > within_secs:
            yield f"a fill of {row.broker_order_id} known at once, not {late_secs:.1f} s later"


def sold_by_the_clock(world: World) -> Iterator[str]:
    """SQ-13: what was held at the time of its schedule was sold then, once."""
    sales = [each for each in world.history.intents.values() if each.reason in world.timed.sales]
    if not any(each.quantity == each.filled_quantity for each in sales):
        yield f"a sale by the clock, not {[(each.intent_id, each.state) for each in sales]}"
    if len(sales) > 1:
        yield f"one sale by the clock, not {len(sales)}"


def split_sells_nothing(world: World) -> Iterator[str]:
    """Invariant 9: before the calm nothing is sold, but by the stop that has moved with the prices; and the ledger has
    counted the split once."""
    adjustments = tables.adjustments.c
    with world.database.read.connect() as connection:
        counted = connection.execute(sa.select(adjustments.symbol).where(adjustments.kind == SPLIT)).scalars().all()
    if counted != [SYMBOL]:
        yield f"one split that is counted, not {counted}"
    for post in world.server.arrived:
        if post.order.side.value == "sell" and post.order.stop_price is None and post.sent_secs < CHAOS_SECS:
            yield f"no sale for a split, not {post.order.client_order_id}"


def split_of_others_is_theirs(world: World) -> Iterator[str]:
    """Invariant 6: no position of ours, and no stop for it."""
    query = sa.select(tables.positions.c.quantity).where(tables.positions.c.symbol == SYMBOL)
    with world.database.read.connect() as connection:
        held = connection.execute(query).scalar()
    if held:
        yield f"nothing of {SYMBOL} in the ledger, not {held}"
    yield from (
        f"no sale of it, not {post.order.client_order_id}"
        for post in world.server.arrived
        if post.order.symbol == SYMBOL
    )


def missed_buy_is_refused(world: World) -> Iterator[str]:
    """BS-3: what was told as missed is not bought after all, though by the right clock it would be in time."""
    reasons = sa.select(tables.decisions.c.reason).where(tables.decisions.c.strategy == CLOCK)
    with world.database.read.connect() as connection:
        found = set(connection.execute(reasons).scalars())
    if found != {BUY_MISSED}:
        yield f"a buy that is refused as missed, not {sorted(found)}"


def restarts(world: World) -> Iterator[str]:
    yield from counted_once(world)
    if not all(world.processes[name].incarnation > 1 for name in ("execution-0", "execution-1")):
        yield "a restart of both"
    names = Counter(order.client_order_id for order in world.server.exchange.orders.values())
    yield from (f"one order of the name {name}, not {count}" for name, count in names.items() if count > 1)


def restart_sells_nothing(world: World) -> Iterator[str]:
    """Held before, held after: nothing is sold in the seconds after the restart but by the broker's own stop."""
    yield from restarts(world)
    for post in world.server.arrived:
        if 12.0 <= post.sent_secs <= 20.0 and post.order.side.value == "sell" and post.order.stop_price is None:
            yield f"no sale after a restart, not {post.order.client_order_id}"


def starts_without_history(world: World) -> Iterator[str]:
    yield from restarts(world)
    began = [secs for secs in _said(world, "merge.done") if 12.0 <= secs <= 24.0]
    if not began:
        yield "a start that ends while the broker's lists go back to yesterday only"


def converges_flat(world: World) -> Iterator[str]:
    yield from counted_once(world)
    if not _ended(world, stops=True):
        yield "a stop that fills while nobody listens"
    yield from known_soon(world)


def parts(world: World) -> Iterator[str]:
    yield from counted_once(world)
    if max(Counter(fill.order_id for fill in _fills(world)).values(), default=0) < 2:
        yield "an order that fills in parts"


def outage_buries_nothing(world: World) -> Iterator[str]:
    """What lives at the broker is never taken for failed here."""
    yield from counted_once(world)
    for order in world.server.exchange.orders.values():
        state = _state(world, order.client_order_id)
        if order.filled_quantity and state in NEVER_ARRIVED:
            yield f"{order.client_order_id} alive here, as it was there, not {state}"


def ghosts_are_ours(world: World) -> Iterator[str]:
    late = [post for post in world.server.arrived if post.at_secs - post.sent_secs > 2.0]
    if not late:
        yield "an order that arrives after its call was given up"
    for post in late:
        if _state(world, post.order.client_order_id) is None:
            yield f"{post.order.client_order_id} known here"
    yield from (f"no order left over, not {order.id}" for order in _working_entries(world))


def _working_entries(world: World) -> list[Order]:
    return [o for o in world.server.exchange.orders.values() if o.is_open and o.side is Side.BUY]


def refusals_end(world: World) -> Iterator[str]:
    """No wish is sent more often than it may be over all its legs; then its strategy wishes for nothing more."""
    table = tables.intents.c
    with world.database.read.connect() as connection:
        rows = connection.execute(sa.select(table.intent_id, table.total_attempts).where(table.purpose == "entry"))
        yield from (f"{row[0]} sent at most {MAX_SENDS} times, not {row[1]}" for row in rows if row[1] > MAX_SENDS)
    refused = [name for name in world.server.evidence.refused if name in world.history.entries]
    if not refused:
        yield "entries that the broker refuses"
    elif not _said(world, "next=abort"):
        yield "an end by the rule for refused entries, not by the ledger's own guard behind it"
    if len(refused) > MAX_SENDS:
        yield f"a strategy that stops at the first wish that is refused for good, not {len(refused)} refusals"


def one_entry_at_a_time(world: World) -> Iterator[str]:
    """No entry leaves while something is held, however much of the last one filled before it was cancelled."""
    yield from counted_once(world)
    cut = [o for o in _ended(world, status=Status.CANCELED) if o.side is Side.BUY and o.filled_quantity]
    if not cut:
        yield "an entry that is cancelled with a part of it filled"
    for entry in _entries(world):
        held = sum((f.signed_quantity for f in _fills(world) if f.at <= entry.at and f.symbol == entry.symbol), ZERO)
        if held:
            yield f"no entry beside {held} held, not {entry.client_order_id}"


def stale_feed_buys_nothing(world: World) -> Iterator[str]:
    """No entry leaves in the silence; when prices come again, entries go on, and nobody had to do anything."""
    silent = [each for each in _entries(world) if 9.0 <= _secs(world, each.at) <= 20.0]
    yield from (f"no entry in the silence, not {each.client_order_id}" for each in silent)
    blocked = [each for each in world.cycles.answered.values() if each.reason.startswith(("FEED_", "COLLAR_"))]
    if not blocked:
        yield "wishes that are blocked for the silence"
    if not [each for each in _entries(world) if _secs(world, each.at) > 20.0]:
        yield "entries after the silence"


def no_entry_while_down(world: World) -> Iterator[str]:
    yield from counted_once(world)
    downs, merges = _said(world, "updates.down"), _said(world, "merge.done")
    if not downs:
        yield "a stream that breaks"
    for down in downs:
        merged = min((secs for secs in merges if secs > down), default=down)
        for entry in _entries(world):
            # What was on its way to the socket when the stream broke leaves.
            if down + 0.1 < _secs(world, entry.at) < merged:
                yield f"no entry while the stream is down, not {entry.client_order_id} at {entry.at}"
    sends = Counter(post.order.client_order_id for post in world.server.arrived)
    yield from (f"{name} sent at most {MAX_SENDS} times" for name, count in sends.items() if count > MAX_SENDS)


def sold_once(world: World) -> Iterator[str]:
    """Of every purchase no more is sold than was bought, and by no more orders than a stop, a sale and one more try."""
    yield from known_soon(world)
    yield from counted_once(world)
    bought = [each for each in _ended(world) if each.side is Side.BUY]
    sales = [each for each in world.server.evidence.departures.values() if not each.buy]
    if not bought or not _fills(world, Side.SELL):
        yield "something bought and sold"
    if len(sales) > 3 * len(bought):
        yield f"no loop of liquidations: {len(sales)} sales of {len(bought)} purchases"


def mute_is_noticed(world: World) -> Iterator[str]:
    yield from known_soon(world)
    yield from counted_once(world)
    noticed = [secs for secs in _said(world, "updates.down") if secs > 5.0]
    if not noticed:
        yield "a mute stream that is noticed without anybody's help"
    elif not [secs for secs in _said(world, "merge.done") if secs > noticed[0]]:
        yield "a merge after the silence"


def entry_ends_unfilled(world: World) -> Iterator[str]:
    """What rested at the broker when its time was over is cancelled soon, and never fills."""
    first, *_ = [o for o in world.server.exchange.orders.values() if o.side is Side.BUY]
    if first.canceled_at is None or _secs(world, first.canceled_at) > CUT_SECS or first.filled_quantity:
        yield f"an entry that is cancelled soon, not {first.status} with {first.filled_quantity} filled"


def old_stop_goes_on(world: World) -> Iterator[str]:
    """A replacement that was answered well is rejected: the stop that it was to replace protects on, until the next
    one takes its place. Nothing is cancelled, or placed beside it."""
    if not any(order.replaces for order in _ended(world, stops=True, status=Status.REJECTED)):
        yield "a replacement that is rejected"
    if not _ended(world, stops=True, status=Status.REPLACED):
        yield "a stop that is replaced after all"
    yield from _one_stop_for_all(world)


def successor_is_smaller(world: World) -> Iterator[str]:
    """What the old stop fills while its replacement is on its way is taken off that one, which sells the rest."""
    yield from counted_once(world)
    filled = {order.id: order.filled_quantity for order in _ended(world, stops=True, status=Status.REPLACED)}
    rests = [order for order in _ended(world, stops=True) if filled.get(order.replaces or "")]
    if not rests:
        yield "a stop that fills in part, is replaced, and whose successor sells the rest"
    yield from _one_stop_for_all(world)


def _one_stop_for_all(world: World) -> Iterator[str]:
    """Before the calm the entry's own stop protects alone: none is cancelled, and none sent."""
    for order in _ended(world, stops=True, status=Status.CANCELED):
        if order.canceled_at is not None and _secs(world, order.canceled_at) < CHAOS_SECS:
            yield f"no stop that is cancelled, not {order.id}"
    sent = [post for post in world.server.arrived if post.order.side.value == "sell" and post.sent_secs < CHAOS_SECS]
    yield from (f"no sale beside the stop, not {post.order.client_order_id}" for post in sent)


def unknown_stop_is_not_waited_for(world: World) -> Iterator[str]:
    """Where nobody can say whether a stop lives, what it should protect is sold."""
    if not _said(world, "reason=STOP_UNKNOWN"):
        yield "a sale of what a stop that nobody knows of should protect"


def next_part_tells_of_the_lost_one(world: World) -> Iterator[str]:
    """An order's next part comes two seconds after the one that nobody heard of: both are counted then."""
    yield from known_soon(world, within_secs=2.5)
    if not _fills(world, Side.SELL):
        yield "a sale in parts"


def reconnect_tells_of_the_fill(world: World) -> Iterator[str]:
    yield from known_soon(world, within_secs=1.5)
    if not _said(world, "updates.down"):
        yield "a stream that breaks"


def part_sold_once(world: World) -> Iterator[str]:
    """The part that was wished for before the calm is sold, under one name."""
    parts = [
        each
        for each in world.history.intents.values()
        if each.purpose == execution.PURPOSE_REDUCE and each.signal_id.startswith("beta.1.")
    ]
    states = [execution.IntentState.Name(each.state) for each in parts]
    if states != ["INTENT_STATE_FILLED"]:
        yield f"the part is {states}"


def all_sold_beside_an_unknown_part(world: World) -> Iterator[str]:
    """The sale of all waits no longer for the sale of a part than for a stop that nobody knows of."""
    seconds = [_secs(world, each.at) for each in _fills(world, Side.SELL)]
    if not any(secs < PART_UNKNOWN_UNTIL_SECS for secs in seconds):
        yield f"a sale while nobody knows of the part, not at {seconds}"
