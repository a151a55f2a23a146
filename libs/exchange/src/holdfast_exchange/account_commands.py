"""Commands that change the account without an order."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from holdfast_exchange.configuration import Configuration
from holdfast_exchange.corporate_actions import CorporateAction


@dataclass(frozen=True, slots=True)
class Configure:
    """The owner sets the account's configuration."""

    at: datetime
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Announce:
    """A corporate action that the recording does not have becomes known."""

    at: datetime
    action: CorporateAction


@dataclass(frozen=True, slots=True)
class JournalCash:
    """Dollars come into the account from outside, or leave it where negative."""

    at: datetime
    amount: Decimal
    description: str = ""
