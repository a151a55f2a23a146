"""What protection asks for: every held whole share, and every coin, has an active stop (order protocol, "Protection").

Pure: the protector calls `due` for each holding after every change and does what it says, one action per intent.
Instants are market time; only the age of an unknown outcome is monotonic, so that a crash does not move market time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from holdfast_core.money import ZERO
from holdfast_execution.domain.exits import must_rearm
from holdfast_execution.domain.views import HoldingView, OrderView, Owner, Phase, Role


class Need(StrEnum):
    """A protective action."""

    PLACE_STOP = "place_stop"
    CANCEL = "cancel"
    """A stop of the wrong quantity, or one that protects nothing any more."""
    SHRINK_STOP = "shrink_stop"
    """The stop goes on for `quantity`, by a replacement: the rest is never without it."""
    DROP_UNSENT = "drop_unsent"
    CUT_ENTRY = "cut_entry"
    """Cancel the remainder of an entry that filled in part: its leg wakes only after the complete fill."""
    EXTEND_STOP = "extend_stop"
    """DAY to GTC, before the close would end it."""
    FLATTEN = "flatten"
    REARM = "rearm"
    """The stop owns the exit again."""
    LOOK_AGAIN = "look_again"
    """Nothing now: look again at `at` (market time) or after `after_secs` (monotonic)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One protective action on one symbol. `price` of PLACE_STOP None: the entry's own stop price."""

    need: Need
    reason: str
    intent_id: str = ""
    quantity: Decimal = ZERO
    price: Decimal | None = None
    at: datetime | None = None
    after_secs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The durations of protection."""

    partial_entry: timedelta = timedelta(seconds=2)
    unknown_stop_secs: float = 5.0
    sweep_before_close: timedelta = timedelta(seconds=600)


def due(
    holding: HoldingView, rules: Rules, *, now: datetime, now_secs: float, closes_at: datetime | None
) -> list[Action]:
    """What is due for one holding. `closes_at`: end of the session under way, None while closed."""
    if must_rearm(holding) and (holding.quantity > 0 or holding.of(*Role)):
        return [Action(need=Need.REARM, reason="EXIT_ENDED")]
    if holding.owner is not Owner.STOP:
        # The owner of the exit sells; a stop of ours beside it would hold the same shares.
        return []
    if holding.quantity <= 0:
        return _clear(holding)
    actions = _cut_entries(holding, rules, now)
    if holding.of(Role.EXIT, Role.FLATTEN):
        return actions
    stops = holding.of(Role.STOP)
    actions += [_cancel(order, "STOP_ORPHANED") for order in stops if order.orphan and order.phase is Phase.LIVE]
    uncertain = [order for order in stops if order.phase is Phase.UNCERTAIN]
    if uncertain:
        return actions + _unknown(uncertain, rules, now_secs)
    return actions + _cover(holding, rules, now, closes_at)


def standing(holding: HoldingView) -> tuple[str, Decimal]:
    """`active`, `pending` or `none`, and the shares or coins that live stops cover."""
    if holding.quantity <= 0:
        return "none", ZERO
    stops = [order for order in holding.of(Role.STOP) if not order.dormant]
    covered = sum((order.remaining for order in stops if order.phase is Phase.LIVE), ZERO)
    if covered >= holding.unsold:
        return "active", covered
    return "pending" if stops else "none", covered


def _clear(holding: HoldingView) -> list[Action]:
    """Nothing is held: a stop that waits for no entry would open a short position."""
    actions = []
    for order in holding.of(Role.STOP):
        if order.phase is Phase.PENDING:
            actions.append(Action(need=Need.DROP_UNSENT, reason="NOTHING_HELD", intent_id=order.intent_id))
        elif order.phase is Phase.LIVE and (order.orphan or not order.dormant):
            actions.append(_cancel(order, "NOTHING_HELD"))
    return actions


def _cut_entries(holding: HoldingView, rules: Rules, now: datetime) -> list[Action]:
    actions = []
    for entry in holding.of(Role.ENTRY):
        if entry.phase is not Phase.LIVE or entry.filled <= 0 or entry.remaining <= 0:
            continue
        due_at = (entry.first_fill_at or now) + rules.partial_entry
        if now >= due_at:
            actions.append(Action(need=Need.CUT_ENTRY, reason="ENTRY_PARTIAL", intent_id=entry.intent_id))
        else:
            actions.append(
                Action(need=Need.LOOK_AGAIN, reason="ENTRY_PARTIAL_YOUNG", intent_id=entry.intent_id, at=due_at)
            )
    return actions


def given_up(holding: HoldingView, rules: Rules, *, now_secs: float) -> set[str]:
    """Stops and sales of parts whose outcome has not been known for longer than the bound: no sale waits for them."""
    return {
        order.intent_id
        for order in holding.of(Role.STOP, Role.REDUCE)
        if order.uncertain_since_secs is not None
        and order.phase is Phase.UNCERTAIN
        and now_secs - order.uncertain_since_secs >= rules.unknown_stop_secs
    }


def _unknown(uncertain: list[OrderView], rules: Rules, now_secs: float) -> list[Action]:
    """A stop whose outcome nobody knows: after the bound flatten all the same, held shares arbitrate at the broker."""
    oldest_secs = min(
        order.uncertain_since_secs if order.uncertain_since_secs is not None else now_secs for order in uncertain
    )
    left_secs = oldest_secs + rules.unknown_stop_secs - now_secs
    if left_secs <= 0:
        return [Action(need=Need.FLATTEN, reason="STOP_UNKNOWN")]
    return [Action(need=Need.LOOK_AGAIN, reason="STOP_UNKNOWN_YOUNG", after_secs=left_secs)]


def _cover(holding: HoldingView, rules: Rules, now: datetime, closes_at: datetime | None) -> list[Action]:
    if any(entry.phase is not Phase.PENDING for entry in holding.of(Role.ENTRY)):
        # The entry still works: its own leg, or the cut, settles what protects the shares.
        return []
    whole = holding.protectable
    stops = [order for order in holding.of(Role.STOP) if not order.dormant]
    if any(order.phase is Phase.CANCELLING for order in stops):
        return []
    covered = sum((order.remaining for order in stops), ZERO)
    if covered > whole:
        return [_uncover(holding, stops, covered - whole)]
    if covered < whole:
        reason = "STOP_MISSING" if not covered else "STOP_QUANTITY_WRONG"
        return [Action(need=Need.PLACE_STOP, reason=reason, quantity=whole - covered, price=holding.stop_price)]
    return _extend(stops, rules, now, closes_at)


def _uncover(holding: HoldingView, stops: list[OrderView], excess: Decimal) -> Action:
    """Only a whole-share stop that does not sell yet is replaced (point 12); what it may keep goes on resting."""
    worst = max(stops, key=lambda order: (order.remaining, order.intent_id))
    if worst.phase is Phase.PENDING:
        return Action(need=Need.DROP_UNSENT, reason="STOP_QUANTITY_WRONG", intent_id=worst.intent_id)
    kept = worst.remaining - excess
    if kept <= 0 or kept % 1 or worst.sells_now or holding.book != "equity":
        return _cancel(worst, "STOP_QUANTITY_WRONG")
    return Action(need=Need.SHRINK_STOP, reason="STOP_QUANTITY_WRONG", intent_id=worst.intent_id, quantity=kept)


def _extend(stops: list[OrderView], rules: Rules, now: datetime, closes_at: datetime | None) -> list[Action]:
    day_stops = [order for order in stops if order.time_in_force == "day" and order.phase is Phase.LIVE]
    if closes_at is None:
        return []
    sweep_at = closes_at - rules.sweep_before_close
    if now < sweep_at:
        return [Action(need=Need.LOOK_AGAIN, reason="SWEEP_AHEAD", at=sweep_at)] if day_stops else []
    return [Action(need=Need.EXTEND_STOP, reason="SESSION_ENDS", intent_id=order.intent_id) for order in day_stops]


def _cancel(order: OrderView, reason: str) -> Action:
    return Action(need=Need.CANCEL, reason=reason, intent_id=order.intent_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceView:
    """What is known of a price: the newest trade or bar, and whether the feed can be believed."""

    last: Decimal | None
    low: Decimal | None
    """Low of the newest bar."""
    bid: Decimal | None
    fresh: bool


class Watch(StrEnum):
    """What the stop monitor does about one holding."""

    REST = "rest"
    """The price is above the stop."""
    SUSPENDED = "suspended"
    """The feed is stale: our triggers wait, the broker's stop stays."""
    WAIT = "wait"
    """The price traded through; the broker's stop has its time."""
    SELL = "sell"


def traded_through(stop_price: Decimal, price: PriceView) -> bool:
    """True where a trade or the best bid was at or below the stop of a long position."""
    seen = [each for each in (price.last, price.low, price.bid) if each is not None]
    return any(each <= stop_price for each in seen)


def watch_stop(
    holding: HoldingView, price: PriceView, *, breached_at: datetime | None, now: datetime, bound: timedelta
) -> Watch:
    """The stop monitor's rule: it sells only where the broker's stop is absent, or unfilled `bound` after its price
    traded. `breached_at`: market time at which the price was first seen through, kept by the caller."""
    if holding.quantity <= 0 or holding.stop_price is None or holding.owner is not Owner.STOP:
        return Watch.REST
    if holding.is_dust(holding.quantity):
        return Watch.REST
    if not price.fresh:
        return Watch.SUSPENDED
    if breached_at is None and not traded_through(holding.stop_price, price):
        return Watch.REST
    since = breached_at or now
    return Watch.SELL if now >= since + bound else Watch.WAIT
