"""Taking a new order: every check first, then the order and its legs (BR-2, BR-5)."""

from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from holdfast_exchange import account, admission, rules
from holdfast_exchange.assets import FRACTION, Asset
from holdfast_exchange.commands import Submit
from holdfast_exchange.config import Outcome
from holdfast_exchange.holds import Step
from holdfast_exchange.matching import trail_stop
from holdfast_exchange.orders import (
    Intent,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    Refusal,
    Side,
    Status,
    TimeInForce,
    Update,
)
from holdfast_exchange.state import State

GOOD_TILL = timedelta(days=90)
STOP_COLLAR_CHEAP, STOP_COLLAR = Decimal("1.04"), Decimal("1.025")
"""How far above its stop a purchase may pay: a buy stop is a stop-limit. Below 50 dollars, and from there on."""
CHEAP = Decimal(50)


def submit(state: State, command: Submit) -> Outcome:
    """Raises Refusal, and then nothing has changed."""
    asset = _tradable(state, state.symbol_named(command.order.symbol))
    new = _completed(replace(command.order, symbol=asset.symbol), asset)
    rules.check_shape(new, asset)
    check_client_id(state, new.client_order_id)
    price = state.market.price(new.symbol)
    new = _sized(new, price)
    if new.stop_price is not None:
        admission.check_stop(new.side, new.stop_price, price)
    admission.check_protection(new, price)
    check_times(state, new)
    account.check_may_trade(state, new.symbol, new.side, new.quantity)
    admission.check_wash_trade(new, state.open_orders())
    check_position(state, asset, new)
    order = state.blotter.put(_begun(state, asset, made(state, new)))
    order = _with_legs(state, order, new)
    event = "accepted" if order.status is Status.ACCEPTED else order.status.value
    return Outcome(order, [Update(event=event, order=order, at=state.now)])


def _tradable(state: State, symbol: str) -> Asset:
    if symbol not in state.market.symbols:
        raise rules.unprocessable(f'asset "{symbol}" not found')
    asset = state.asset(symbol)
    if not asset.tradable:
        raise rules.unprocessable(f"asset {symbol} is not tradable")
    return asset


def _completed(new: NewOrder, asset: Asset) -> NewOrder:
    """An OCO is its take profit; a buy stop gets the limit that the venue gives it."""
    if new.kind is OrderClass.OCO and new.type is OrderType.LIMIT and new.limit_price is None:
        return replace(new, limit_price=new.take_profit_price)
    stop = new.stop_price
    converted = new.type is OrderType.STOP and new.side is Side.BUY and not asset.is_crypto
    if converted and stop is not None and stop.is_finite() and stop > 0:
        limit = stop * (STOP_COLLAR_CHEAP if stop < CHEAP else STOP_COLLAR)
        tick = asset.tick(limit)
        return replace(new, type=OrderType.STOP_LIMIT, limit_price=(limit / tick).quantize(Decimal(1), ROUND_UP) * tick)
    return new


def _sized(new: NewOrder, price: Decimal | None) -> NewOrder:
    """A notional order with the shares that its dollars buy at the price that it may pay at most."""
    if new.notional is None:
        return new
    base = new.limit_price or new.stop_price or price
    if base is None:
        raise rules.unprocessable(f"no price is known for {new.symbol}")
    return replace(new, quantity=max((new.notional / base).quantize(FRACTION, ROUND_DOWN), FRACTION))


def check_times(state: State, new: NewOrder) -> None:
    """Auction orders are taken until shortly before their auction. Raises Refusal 422."""
    if new.time_in_force is TimeInForce.OPG and not state.hours.takes_opening_orders(state.now):
        raise rules.unprocessable("opg orders must be placed after 7:00 pm and before 9:28 am")
    if new.time_in_force is TimeInForce.CLS and not state.hours.takes_closing_orders(state.now):
        raise rules.unprocessable("cls orders must be placed after 7:00 pm and before 3:50 pm")


def check_position(state: State, asset: Asset, new: NewOrder, *, leaving: Order | None = None) -> None:
    """Shares, leave to short, and buying power (`leaving` is being replaced). Raises Refusal."""
    held = state.books.held(new.symbol)
    intent = intent_of(state, new.symbol, new.side) if leaving is None else leaving.intent
    gone = "" if leaving is None else leaving.id
    if leaving is None:
        admission.check_intent(new.intent, intent)
        if not held and new.side is Side.SELL:
            # Said before anything about legs: selling nothing is what is wrong with it.
            admission.check_short(asset, new, may_short=account.may_short(state))
        admission.check_class_fits(new, intent)
    if intent in (Intent.BUY_TO_CLOSE, Intent.SELL_TO_CLOSE):
        admission.check_shares(asset, new.side, new.quantity, held, state.open_orders(), leaving=gone)
    elif intent is Intent.SELL_TO_OPEN and held:
        admission.check_short(asset, new, may_short=account.may_short(state))
    worth = new.notional or new.quantity * state.cost_price(new.symbol, new.limit_price, new.stop_price)
    admission.check_amount(asset, new, worth)
    cost = account.order_cost(state, new.symbol, new.side, new.quantity, new.limit_price, new.stop_price)
    if cost:
        cost = new.notional or cost
        admission.check_buying_power(cost, account.available(state, new.symbol, leaving=gone or None))


def made(state: State, new: NewOrder, status: Status = Status.NEW, order_class: OrderClass | None = None) -> Order:
    """The next order, not yet in the blotter."""
    if new.time_in_force is TimeInForce.GTC or state.asset(new.symbol).is_crypto:
        expires_at = state.now + GOOD_TILL
    else:
        expires_at = state.hours.day_ends(state.now, extended=new.extended_hours)
    trailing = new.type is OrderType.TRAILING_STOP
    mark = state.market.price(new.symbol) if trailing else None
    stop_price = new.stop_price
    if mark is not None:
        stop_price = trail_stop(new.side, mark, new.trail_price, new.trail_percent)
    return Order(
        id=state.blotter.next_order_id(),
        sequence=state.blotter.next_sequence(),
        client_order_id=new.client_order_id or state.blotter.next_client_order_id(),
        symbol=new.symbol,
        side=new.side,
        intent=new.intent or intent_of(state, new.symbol, new.side),
        quantity=new.quantity,
        notional=new.notional,
        type=new.type,
        time_in_force=new.time_in_force,
        order_class=order_class or new.kind,
        status=status,
        created_at=state.now,
        updated_at=state.now,
        active_from=state.now,
        expires_at=expires_at,
        extended_hours=new.extended_hours,
        limit_price=new.limit_price,
        stop_price=stop_price,
        trail_price=new.trail_price,
        trail_percent=new.trail_percent,
        high_water_mark=mark,
    )


def _begun(state: State, asset: Asset, order: Order) -> Order:
    """`order` in the state in which it begins: on the market, queued, or on its way there."""
    status = Status.NEW if is_trading(state, asset, order) else Status.ACCEPTED
    delay = state.holds.of(Step.NEW, order.symbol)
    if delay:
        return replace(order, status=Status.PENDING_NEW, was=status, due_at=state.now + delay)
    return replace(order, status=status)


def _with_legs(state: State, order: Order, new: NewOrder) -> Order:
    """Puts the order's legs, held until it is filled; the stop of an OCO is watched from the beginning."""
    asset = state.asset(order.symbol)
    oco = new.kind is OrderClass.OCO
    side = new.side if oco else Side.SELL if new.side is Side.BUY else Side.BUY
    common = NewOrder(
        symbol=new.symbol,
        side=side,
        quantity=new.quantity,
        type=OrderType.LIMIT,
        time_in_force=new.time_in_force,
        order_class=new.kind,
        intent=Intent.SELL_TO_CLOSE if side is Side.SELL else Intent.BUY_TO_CLOSE,
    )
    asked: list[NewOrder] = []
    if new.take_profit_price is not None and not oco:
        asked.append(replace(common, limit_price=new.take_profit_price))
    if new.protect_stop_price is not None:
        kind = OrderType.STOP if new.protect_limit_price is None else OrderType.STOP_LIMIT
        stop = replace(common, type=kind, stop_price=new.protect_stop_price, limit_price=new.protect_limit_price)
        asked.append(_completed(stop, asset))
    legs: list[str] = []
    for each in asked:
        leg = replace(made(state, each), status=Status.HELD, parent=order.id, armed=oco and order.was is None)
        legs.append(state.blotter.put(leg).id)
    return state.blotter.put(replace(order, legs=tuple(legs))) if legs else order


def is_trading(state: State, asset: Asset, order: Order) -> bool:
    """True where the order's market is open and its symbol not halted."""
    if state.hours.is_halted(order.symbol, state.now):
        return False
    return state.hours.is_open(asset, state.now, extended=order.extended_hours)


def intent_of(state: State, symbol: str, side: Side) -> Intent:
    """What an order of that side does to the position as it is now."""
    held = state.books.held(symbol)
    if side is Side.BUY:
        return Intent.BUY_TO_CLOSE if held < 0 else Intent.BUY_TO_OPEN
    return Intent.SELL_TO_CLOSE if held > 0 else Intent.SELL_TO_OPEN


def check_client_id(state: State, client_order_id: str) -> None:
    """A client order id is used up for ever. Raises Refusal 422."""
    if client_order_id and state.order_by_client_id(client_order_id) is not None:
        raise Refusal(422, admission.NOT_UNIQUE, "client_order_id must be unique")
