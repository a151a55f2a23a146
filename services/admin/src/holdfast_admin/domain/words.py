"""Coded reasons and states in plain words, for people."""

REASONS: dict[str, str] = {
    "ALLOWED": "Every gate passed",
    "ACCOUNT_HALTED": "The account is halted",
    "ADDITION_SKIPPED": "Below its target, but nothing is added to a position",
    "ASSET_NOT_TRADABLE": "The broker does not trade this asset now",
    "ASSET_UNKNOWN": "The broker has not told about this asset",
    "BUY_MISSED": "The time of this buy was over, and it was told as missed",
    "BUYING_POWER_SHORT": "Not enough buying power",
    "CASH_UNSETTLED": "Cash from sales has not settled yet",
    "CAP_NOTIONAL": "The smallest order costs more than the cap allows",
    "COLLAR_EXCEEDED": "The price moved too far from what the strategy saw",
    "COLLAR_NO_PRICE": "There is no fresh price to measure the order by",
    "COOLDOWN_ACTIVE": "Cooling down: this symbol was entered a short while ago",
    "CYCLE_EXPIRED": "The signal came too late to be traded",
    "CYCLE_FULL": "This cycle has opened as many positions as it may",
    "DAY_ENTRIES_FULL": "This symbol was entered as often today as it may be",
    "ENTRIES_LOCKED": "Execution takes no entries now",
    "ENTRY_UNDERWAY": "This symbol is being bought",
    "EXIT_OPEN": "A sale of this position is under way already",
    "FEED_DISCONNECTED": "The market-data feed is disconnected",
    "FEED_STALE": "The newest price is too old",
    "KILL_SWITCH_ENGAGED": "The kill switch is engaged",
    "NOTHING_HELD": "There is nothing to sell",
    "POSITIONS_FULL": "The book is full",
    "POSITION_HELD": "The strategy holds this symbol, or an order for it, already",
    "PRICES_APART": "Bid, ask and last bar lie too far apart to size a trade by",
    "RATE": "The order rate was used up until the signal expired",
    "REBALANCE_OFF": "The strategy has no settings of rebalance",
    "RECONCILIATION_DISCREPANT": "Ledger and broker differ",
    "RECONCILIATION_STALE": "The last clean comparison with the broker is too old",
    "REVISIONS_INCOMPATIBLE": "Gate and execution are of releases that do not understand each other",
    "SALES_FIRST": "What the portfolio sells comes first",
    "SCORE_LOW": "The score is below the entry threshold",
    "SESSION_CLOSED": "The market is closed",
    "SIZE_ZERO": "The allocation does not buy the smallest order",
    "STRATEGY_HALTED": "The strategy is halted",
    "STRATEGY_STOPPED": "The strategy does not run: a person starts it",
    "STRATEGY_SYMBOL": "The strategy may not trade this symbol",
    "STRATEGY_UNKNOWN": "The strategy is not configured and enabled",
    "SYMBOL_HALTED": "The symbol is halted",
    "SYMBOL_OWNED": "Another strategy holds this symbol",
    "WITHIN_BAND": "Near its target, or the trade would be too small",
}

ORDER_REASONS: dict[str, str] = {
    "OTO_LEG": "Placed with its entry",
    "SWEEP_AHEAD": "Renewed before the close",
    "SESSION_ENDS": "The session ends",
    "EXIT_TOOK_OVER": "The exit took over",
    "EXIT_ENDED": "The exit has ended",
    "EXIT_OUTRANKED": "A more urgent exit took over",
    "ENTRY_PARTIAL": "The rest of a partial entry was cut",
    "STOP_TRIGGERED": "The stop's price was traded",
    "PART_NOT_SOLD": "It could not be sent while its stop was away",
    "STOP_NOT_REPLACED": "The broker did not make its stop smaller",
    "STOP_THROUGH_PRICE": "The stop was already through the price",
    "MONITOR_STOP_UNFILLED": "The broker's stop did not fill in time",
    "OUTCOME_UNKNOWN": "The outcome of the send is not known yet",
    "LOOKUP_FAILED": "The broker could not be asked about it",
    "ORDER_PROVEN_ABSENT": "Proven absent at the broker",
    "LEASE_TAKEN_OVER": "Its sender was replaced before the answer",
    "LEASE_MARGIN_SHORT": "Too close to the end of the lease to send",
    "ATTEMPTS_EXHAUSTED": "Every allowed attempt was used",
    "CREDENTIALS_REFUSED": "The broker refuses the credentials",
    "RATE_EXCEEDED": "The order rate was used up until the signal expired",
    "BROKER_HOLDS_NOTHING": "The broker holds none of it",
    "DUST_HELD": "What is held is too little to be sold",
    "RECONCILING": "Ledger and broker are being compared",
}
"""What execution says of an order."""

HALTS: dict[str, str] = {
    "kill_switch": "Kill switch",
    "reconciliation": "Ledger and broker differ",
    "credentials": "Broker connection expired",
    "safety_abort": "Safety abort",
    "foreign_order": "An order that is not ours",
}

TRADE_STATES: dict[str, str] = {
    "none": "Nothing traded",
    "bought": "Bought",
    "sold": "Sold",
    "exited_by_sl": "Exited by stop-loss",
}
"""Where a strategy's cycle of trades stands (SQ-12)."""

EXIT_OWNERS: dict[str, str] = {
    "": "nobody",
    "stop": "broker's stop",
    "exit": "scheduled sale",
    "monitor": "stop monitor",
    "flatten": "flatten",
}


def reason(code: str) -> str:
    """A coded reason as a sentence without its full stop; one that is not in the table reads as its own words."""
    return REASONS.get(code) or ORDER_REASONS.get(code) or sentence(code)


def halt(kind: str) -> str:
    return HALTS.get(kind) or sentence(kind)


def trade_state(state: str) -> str:
    return TRADE_STATES.get(state) or sentence(state)


def exit_owner(owner: str, protection: str = "none") -> str:
    """Who ends the position: while nobody else has claimed the exit, the stop that rests at the broker."""
    if not owner and protection != "none":
        return EXIT_OWNERS["stop"]
    return EXIT_OWNERS.get(owner) or sentence(owner).lower()


def sentence(code: str) -> str:
    """`CYCLE_FULL` → `Cycle full`."""
    return code.replace("_", " ").strip().capitalize() or "No reason was given"


def opening(message: str) -> str:
    """An error's message as a sentence: a capital at its start, a full stop at its end."""
    return message[:1].upper() + message[1:].rstrip(".") + "."
