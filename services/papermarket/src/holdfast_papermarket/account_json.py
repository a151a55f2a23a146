"""The account in Alpaca's JSON: Account, Position, Asset, configurations, activities, history, corporate actions.

Money and quantities are decimal strings, except in the history, which has numbers; days are New York's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from holdfast_core.money import ZERO, plain
from holdfast_core.new_york import new_york_day
from holdfast_core.sessions import previous_session
from holdfast_exchange import account as accounts
from holdfast_exchange.admission import available_shares
from holdfast_exchange.assets import AssetClass
from holdfast_exchange.books import Activity, Position
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.orders import Fill
from holdfast_exchange.portfolio_history import History
from holdfast_papermarket.trading_json import Json, instant, number, order

RATIO = Decimal("0.000000001")
FILL = "FILL"
NO_CUSIP = ""
"""Recordings name no CUSIPs."""


def account(exchange: Exchange, opened_at: datetime) -> Json:
    found, state = accounts.balances(exchange), exchange.account
    worth = found.long_value + found.short_value
    start = state.today
    crypto = any(kind is AssetClass.CRYPTO for kind in exchange.market.asset_classes.values())
    beginning_dtbp = max((start.equity - start.maintenance) * 4, ZERO) if found.multiplier == 4 else ZERO
    return {
        "id": exchange.account_id,
        "account_number": "PA" + exchange.account_id.replace("-", "")[:10].upper(),
        "status": "ACTIVE",
        "crypto_status": "ACTIVE" if crypto else "INACTIVE",
        "currency": "USD",
        "buying_power": _positive(found.buying_power),
        "regt_buying_power": _positive(found.regt_buying_power),
        "daytrading_buying_power": _positive(found.daytrading_buying_power),
        "effective_buying_power": _positive(found.buying_power),
        "non_marginable_buying_power": _positive(found.non_marginable_buying_power),
        "options_buying_power": "0",
        "bod_dtbp": number(beginning_dtbp),
        "cash": number(found.cash),
        "accrued_fees": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "portfolio_value": number(found.equity),
        "equity": number(found.equity),
        "last_equity": number(start.equity),
        "long_market_value": number(found.long_value),
        "short_market_value": number(found.short_value),
        "position_market_value": number(worth),
        "initial_margin": number(found.initial_margin),
        "maintenance_margin": number(found.maintenance_margin),
        "last_maintenance_margin": number(start.maintenance),
        "sma": "0",
        "multiplier": str(found.multiplier),
        "pattern_day_trader": found.multiplier == 4,
        "daytrade_count": accounts.daytrade_count(exchange),
        "shorting_enabled": accounts.shorting_enabled(exchange),
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": state.configuration.suspend_trade,
        "created_at": instant(opened_at),
        "balance_asof": previous_session(exchange.now).day.isoformat(),
        "crypto_tier": state.config.fees.tier_number(state.crypto_volume.at(exchange.now)) if crypto else 0,
        "options_approved_level": 0,
        "options_trading_level": 0,
        "intraday_adjustments": "0",
        "pending_reg_taf_fees": "0",
        "admin_configurations": {},
        "user_configurations": None,
    }


def _positive(value: Decimal) -> str | None:
    return number(max(value, ZERO))


def position(exchange: Exchange, value: Position) -> Json:
    asset, worth = exchange.asset(value.symbol), exchange.value_of(value)
    price = exchange.price_of(value.symbol)
    recorded = value.symbol in exchange.market.symbols
    before = (exchange.market.previous_close(value.symbol) if recorded else None) or price
    gain = worth - value.cost
    # What was held this morning counts from yesterday's close, the rest from what it has cost.
    morning = exchange.account.today.held.get(value.symbol, ZERO)
    overnight = min(abs(morning), abs(value.quantity)) if morning * value.quantity > 0 else ZERO
    overnight = -overnight if value.is_short else overnight
    basis = overnight * before + (value.quantity - overnight) * value.average_price
    return {
        "asset_id": exchange.asset_id(value.symbol),
        "symbol": value.symbol,
        "exchange": asset.exchange,
        "asset_class": asset.asset_class.value,
        "asset_marginable": asset.marginable,
        "qty": number(value.quantity),
        "qty_available": number(available_shares(value, exchange.open_orders())),
        "avg_entry_price": number(value.average_price),
        "side": "short" if value.is_short else "long",
        "market_value": number(worth),
        "cost_basis": number(value.cost),
        "unrealized_pl": number(gain),
        "unrealized_plpc": _ratio(gain, abs(value.cost)),
        "unrealized_intraday_pl": number(worth - basis),
        "unrealized_intraday_plpc": _ratio(worth - basis, abs(basis)),
        "current_price": number(price),
        "lastday_price": number(before),
        "change_today": _ratio(price - before, before),
    }


def _ratio(part: Decimal, whole: Decimal) -> str:
    return f"{plain((part / whole).quantize(RATIO)):f}" if whole else "0"


def asset(exchange: Exchange, symbol: str) -> Json:
    found = exchange.asset(symbol)
    margin = "30" if found.marginable else "100"
    shown: Json = {
        "id": exchange.asset_id(symbol),
        "class": found.asset_class.value,
        "exchange": found.exchange,
        "symbol": symbol,
        "name": found.name,
        "status": "inactive" if symbol in exchange.account.gone else "active",
        "tradable": found.tradable,
        "marginable": found.marginable,
        "shortable": found.shortable,
        "easy_to_borrow": found.easy_to_borrow,
        "borrow_status": "easy_to_borrow" if found.easy_to_borrow else "hard_to_borrow" if found.shortable else "",
        "fractionable": found.fractionable,
        "maintenance_margin_requirement": int(margin),
        "margin_requirement_long": margin,
        "margin_requirement_short": margin if found.shortable else "100",
        "attributes": [],
        "cusip": None,
    }
    if found.is_crypto:
        shown |= {
            "min_order_size": number(found.min_order_size),
            "min_trade_increment": number(found.min_trade_increment),
            "price_increment": number(found.price_increment),
        }
    return shown


# Activities


@dataclass(frozen=True, slots=True)
class Told:
    """An activity with its id: the time to the millisecond and a UUID."""

    id: str
    kind: str
    value: Activity


def activities(exchange: Exchange) -> list[Told]:
    """All of them, oldest first: in the order of their ids."""
    found, executions, since = [], 0, 0
    for each in exchange.books.activities:
        if isinstance(each, Fill):
            executions, since, kind, identity = executions + 1, 0, FILL, each.id
        else:
            since, kind = since + 1, each.kind.value
            identity = exchange.blotter.activity_id(executions, since)
        found.append(Told(f"{_stamp(each.at)}::{identity}", kind, each))
    return found


def activity(exchange: Exchange, told: Told) -> Json:
    value = told.value
    shown: Json = {"id": told.id, "account_id": exchange.account_id, "activity_type": told.kind}
    if isinstance(value, Fill):
        return shown | {
            "transaction_time": instant(value.at),
            "type": "fill" if not value.leaves else "partial_fill",
            "price": number(value.price),
            "qty": number(value.quantity),
            "side": value.side.value,
            "symbol": value.symbol,
            "leaves_qty": number(value.leaves),
            "order_id": value.order_id,
            "cum_qty": number(value.cumulative),
            "order_status": "filled" if not value.leaves else "partially_filled",
        }
    shown |= {
        "activity_sub_type": value.sub_kind or None,
        "date": new_york_day(value.at).isoformat(),
        "created_at": instant(value.at),
        "net_amount": number(value.cash),
        "currency": "USD",
        "description": value.description,
        "status": "executed",
    }
    if value.symbol:
        shown |= {"symbol": value.symbol, "qty": number(value.quantity)}
    if value.price is not None:
        shown["price"] = number(value.price)
    if value.per_share is not None:
        shown["per_share_amount"] = number(value.per_share)
    if value.group:
        shown["group_id"] = value.group
    return shown


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%d%H%M%S}{at.microsecond // 1000:03d}"


# History


def history(value: History, timeframe: str) -> Json:
    points = value.points
    shown: Json = {
        "timestamp": [int(point.at.timestamp()) for point in points],
        "equity": [_float(point.equity, 2) for point in points],
        "profit_loss": [_float(point.profit, 2) for point in points],
        "profit_loss_pct": [_float(point.profit_ratio, 6) for point in points],
        "base_value": _float(value.base_value, 2),
        "timeframe": timeframe,
        "cashflow": {kind.value: [_float(each, 2) for each in amounts] for kind, amounts in value.cashflow.items()},
    }
    if value.base_day is not None:
        shown["base_value_asof"] = value.base_day.isoformat()
    return shown


def _float(value: Decimal, places: int) -> float:
    return float(round(value, places))


# Corporate actions

_ANNOUNCED = {
    ActionKind.CASH_DIVIDEND: ("dividend", "cash"),
    ActionKind.FORWARD_SPLIT: ("split", "stock_split"),
    ActionKind.REVERSE_SPLIT: ("split", "reverse_split"),
    ActionKind.STOCK_MERGER: ("merger", "merger_completion"),
    ActionKind.CASH_MERGER: ("merger", "merger_completion"),
    ActionKind.STOCK_AND_CASH_MERGER: ("merger", "merger_completion"),
    ActionKind.SPIN_OFF: ("spinoff", "spinoff"),
}
"""Type and sub-type of an announcement; new names are not announced."""
LISTS = {
    ActionKind.CASH_DIVIDEND: "cash_dividends",
    ActionKind.FORWARD_SPLIT: "forward_splits",
    ActionKind.REVERSE_SPLIT: "reverse_splits",
    ActionKind.STOCK_MERGER: "stock_mergers",
    ActionKind.CASH_MERGER: "cash_mergers",
    ActionKind.STOCK_AND_CASH_MERGER: "stock_and_cash_mergers",
    ActionKind.SPIN_OFF: "spin_offs",
    ActionKind.NAME_CHANGE: "name_changes",
}
"""Names of the lists in market data's answer."""


def announced_type(kind: ActionKind) -> str:
    """dividend, merger, spinoff or split; empty for what is not announced."""
    return _ANNOUNCED[kind][0] if kind in _ANNOUNCED else ""


def announcement(value: CorporateAction) -> Json:
    kind, sub_kind = _ANNOUNCED[value.kind]
    return {
        "id": value.id,
        "corporate_action_id": value.id,
        # The older spelling of the same id.
        "corporate_actions_id": value.id,
        "ca_type": kind,
        "ca_sub_type": sub_kind,
        "initiating_symbol": value.symbol,
        "initiating_original_cusip": NO_CUSIP,
        "target_symbol": value.new_symbol or value.symbol,
        "target_original_cusip": NO_CUSIP,
        "declaration_date": value.known_from.isoformat(),
        "ex_date": value.ex_date.isoformat(),
        "record_date": _day(value.record_date),
        "payable_date": value.paid_on.isoformat(),
        "cash": number(value.cash),
        "old_rate": number(value.old_rate),
        "new_rate": number(value.new_rate),
    }


def corporate_action(value: CorporateAction) -> Json:
    """One item of market data's corporate actions."""
    shown: Json = {"id": value.id, "process_date": value.ex_date.isoformat()}
    dates = {"record_date": _day(value.record_date), "payable_date": _day(value.payable_date)}
    shown |= {name: day for name, day in dates.items() if day is not None}
    ex_date = {"ex_date": value.ex_date.isoformat()}
    rates = {"old_rate": float(value.old_rate), "new_rate": float(value.new_rate)}
    effective = {"effective_date": value.ex_date.isoformat()}
    merged = {
        "acquiree_symbol": value.symbol,
        "acquiree_cusip": NO_CUSIP,
        "acquirer_symbol": value.new_symbol or None,
        "acquirer_cusip": NO_CUSIP,
    }
    exchanged = {"acquiree_rate": float(value.old_rate), "acquirer_rate": float(value.new_rate)}
    match value.kind:
        case ActionKind.CASH_DIVIDEND:
            return shown | ex_date | _of(value) | {"rate": float(value.cash), "special": False, "foreign": False}
        case ActionKind.FORWARD_SPLIT:
            return shown | ex_date | _of(value) | rates
        case ActionKind.REVERSE_SPLIT:
            cusips = {"symbol": value.symbol, "old_cusip": NO_CUSIP, "new_cusip": NO_CUSIP}
            return shown | ex_date | cusips | rates
        case ActionKind.CASH_MERGER:
            return shown | effective | merged | {"rate": float(value.cash)}
        case ActionKind.STOCK_MERGER:
            return shown | effective | merged | exchanged
        case ActionKind.STOCK_AND_CASH_MERGER:
            return shown | effective | merged | exchanged | {"cash_rate": float(value.cash)}
        case ActionKind.SPIN_OFF:
            return (
                shown
                | ex_date
                | {
                    "source_symbol": value.symbol,
                    "source_cusip": NO_CUSIP,
                    "source_rate": float(value.old_rate),
                    "new_symbol": value.new_symbol,
                    "new_cusip": NO_CUSIP,
                    "new_rate": float(value.new_rate),
                }
            )
        case ActionKind.NAME_CHANGE:
            return shown | {
                "old_symbol": value.symbol,
                "old_cusip": NO_CUSIP,
                "new_symbol": value.new_symbol,
                "new_cusip": NO_CUSIP,
            }


def _of(value: CorporateAction) -> Json:
    return {"symbol": value.symbol, "cusip": NO_CUSIP}


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def known(actions: Iterable[CorporateAction], today: date) -> list[CorporateAction]:
    """Those that the market knows of on `today`: nothing is told before its declaration."""
    return [action for action in actions if action.known_from <= today]


def configuration(value: Configuration) -> Json:
    return {**value.shown(), "disable_overnight_trading": False}


# The venue's own account


def books(exchange: Exchange) -> Json:
    """Everything as the venue keeps it, for checking others against."""
    kept, market = exchange.books, exchange.market
    held = [kept.positions[symbol] for symbol in sorted(kept.positions)]
    told = [activity(exchange, each) for each in activities(exchange)]
    return {
        "starting_cash": number(kept.starting_cash),
        "cash": number(kept.cash),
        "unsettled_cash": number(kept.unsettled_cash(new_york_day(exchange.now))),
        "equity": number(exchange.equity()),
        "realised_pnl": number(kept.realised_total),
        "unrealised_pnl": number(exchange.market_value() - kept.cost_total),
        "outside": {kind.value: number(amount) for kind, amount in sorted(kept.outside.items())},
        "orders": [order(exchange, value, nested=False) for value in exchange.orders.values()],
        "fills": [each for each in told if each["activity_type"] == FILL],
        "other_activities": [each for each in told if each["activity_type"] != FILL],
        "positions": [position(exchange, value) for value in held],
        "prices": {symbol: number(market.price(symbol)) for symbol in market.symbols},
    }
