"""Coded reasons and states in plain words, for people."""

REASONS: dict[str, str] = {
    "ALLOWED": "Every gate passed",
    "ACCOUNT_HALTED": "The account is halted",
    "ASSET_NOT_TRADABLE": "The broker does not trade this asset now",
    "ASSET_UNKNOWN": "The broker has not told about this asset",
    "BUYING_POWER_SHORT": "Not enough buying power",
    "CAP_NOTIONAL": "One share costs more than the cap allows",
    "COLLAR_EXCEEDED": "The price moved too far from what the strategy saw",
    "COLLAR_NO_PRICE": "There is no fresh price to measure the order by",
    "COOLDOWN_ACTIVE": "Cooling down: this symbol was entered a short while ago",
    "CYCLE_EXPIRED": "The signal came too late to be traded",
    "CYCLE_FULL": "This cycle has opened as many positions as it may",
    "DAY_ENTRIES_FULL": "This symbol was entered as often today as it may be",
    "ENTRIES_LOCKED": "Execution takes no entries now",
    "EXIT_OPEN": "A sale of this position is under way already",
    "FEED_DISCONNECTED": "The market-data feed is disconnected",
    "FEED_STALE": "The newest price is too old",
    "KILL_SWITCH_ENGAGED": "The kill switch is engaged",
    "NOTHING_HELD": "There is nothing to sell",
    "POSITIONS_FULL": "The book is full",
    "POSITION_HELD": "The strategy holds this symbol, or an order for it, already",
    "RATE": "The order rate was used up until the signal expired",
    "RECONCILIATION_DISCREPANT": "Ledger and broker differ",
    "RECONCILIATION_STALE": "The last clean comparison with the broker is too old",
    "SCORE_LOW": "The score is below the entry threshold",
    "SESSION_CLOSED": "The market is closed",
    "SIZE_ZERO": "The allocation does not buy one share",
    "STRATEGY_HALTED": "The strategy is halted",
    "STRATEGY_SYMBOL": "The strategy may not trade this symbol",
    "STRATEGY_UNKNOWN": "The strategy is not configured and enabled",
    "SYMBOL_HALTED": "The symbol is halted",
    "SYMBOL_OWNED": "Another strategy holds this symbol",
}

HALTS: dict[str, str] = {
    "kill_switch": "Kill switch",
    "reconciliation": "Ledger and broker differ",
    "credentials": "The broker refuses the credentials",
    "safety_abort": "Safety abort",
    "foreign_order": "An order that is not ours",
}

EXIT_OWNERS: dict[str, str] = {
    "": "nobody",
    "stop": "broker's stop",
    "exit": "scheduled sale",
    "monitor": "stop monitor",
    "flatten": "flatten",
}


def reason(code: str) -> str:
    """A coded reason as a sentence without its full stop; one that is not in the table reads as its own words."""
    return REASONS.get(code) or sentence(code)


def halt(kind: str) -> str:
    return HALTS.get(kind) or sentence(kind)


def exit_owner(owner: str) -> str:
    return EXIT_OWNERS.get(owner) or sentence(owner).lower()


def sentence(code: str) -> str:
    """`CYCLE_FULL` → `Cycle full`."""
    return code.replace("_", " ").strip().capitalize() or "No reason was given"
