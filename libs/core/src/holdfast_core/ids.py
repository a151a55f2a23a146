"""Typed identifiers, and how the deterministic ones are made.

Every id that a retry could meet again is a function of what it names, never of the attempt or of chance.
"""

import base64
import hashlib
from datetime import UTC, datetime
from typing import NewType

Symbol = NewType("Symbol", str)
StrategyId = NewType("StrategyId", str)
CycleId = NewType("CycleId", str)
SignalId = NewType("SignalId", str)
IntentId = NewType("IntentId", str)
ClientOrderId = NewType("ClientOrderId", str)
BrokerOrderId = NewType("BrokerOrderId", str)
AccountId = NewType("AccountId", str)

CLIENT_ORDER_ID_PREFIX = "hf-"
"""Orders at the broker whose client order id does not begin with this are foreign."""

TRIAL = StrategyId("trial")
"""Strategy of the signals that show that the chain works and never trade: nobody can configure one of this name."""


def instant_token(instant: datetime) -> str:
    """`20131007T133500Z`: an aware instant as part of an id."""
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def cycle_id(strategy: StrategyId, market_time: datetime) -> CycleId:
    """Id of the one cycle that `strategy` publishes at `market_time`."""
    return CycleId(f"{strategy}.{instant_token(market_time)}")


def signal_id(strategy: StrategyId, symbol: Symbol, market_time: datetime, direction: str) -> SignalId:
    """Id of a signal: the same strategy, symbol, cycle and direction give the same id for ever (BS-3)."""
    return SignalId(f"{strategy}.{symbol}.{instant_token(market_time)}.{direction}")


def client_order_id(
    account: AccountId, strategy: StrategyId, signal: SignalId, purpose: str, leg: int
) -> ClientOrderId:
    """Client order id of one leg of an intent: at most 48 characters, a function of the leg, never of the attempt."""
    digest = hashlib.sha256("|".join((account, strategy, signal, str(leg), purpose)).encode()).digest()
    return ClientOrderId(CLIENT_ORDER_ID_PREFIX + base64.b32encode(digest).decode()[:26].lower())
