"""What faults do to an exchange, as commands of its journal."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

ALL_SYMBOLS = "*"


@dataclass(frozen=True, slots=True)
class ArmFaults:
    """Another plan is in force from here on: `plan` is its JSON."""

    at: datetime
    plan: str


@dataclass(frozen=True, slots=True)
class CountFault:
    """A fault has fired: its counters afterwards, so that a killed venue does not let it fire again."""

    at: datetime
    fault_id: str
    seen: int
    fired: int


@dataclass(frozen=True, slots=True)
class CapFill:
    """Of an order no more than `quantity` fills before `until`."""

    at: datetime
    order_id: str
    quantity: Decimal
    until: datetime


@dataclass(frozen=True, slots=True)
class FillNow:
    """An order fills `quantity` at the present price, even one that has ended."""

    at: datetime
    order_id: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing of `symbol` (`*`: of all) fills before `until`."""

    at: datetime
    symbol: str
    until: datetime


@dataclass(frozen=True, slots=True)
class CloseEarly:
    """The session that would close at `regular` closes at `close` already: DAY orders end there."""

    at: datetime
    close: datetime
    regular: datetime


@dataclass(frozen=True, slots=True)
class Liquidate:
    """The broker cancels the orders of a symbol and sells (or covers) the position at the present price."""

    at: datetime
    symbol: str


@dataclass(frozen=True, slots=True)
class JournalShares:
    """Shares come into the account, or leave it, at the present price, without a trade."""

    at: datetime
    symbol: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class ScalePrices:
    """Every price of `symbol` (`*`: of all) after `at` and up to `until` is `factor` times what is recorded."""

    at: datetime
    symbol: str
    factor: Decimal
    until: datetime


FaultCommand = ArmFaults | CountFault | CapFill | FillNow | Halt | CloseEarly | Liquidate | JournalShares | ScalePrices
COMMANDS: dict[str, type[FaultCommand]] = {
    "arm_faults": ArmFaults,
    "count_fault": CountFault,
    "cap_fill": CapFill,
    "fill_now": FillNow,
    "halt": Halt,
    "close_early": CloseEarly,
    "liquidate": Liquidate,
    "journal_shares": JournalShares,
    "scale_prices": ScalePrices,
}
