"""What faults do to an exchange, as commands of its journal."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from holdfast_exchange.orders import NewOrder

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
    effects: tuple[str, ...] = ()
    """What it does at the venue, as journal lines of their own: in one line with the count, both happen or neither."""


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


@dataclass(frozen=True, slots=True)
class SubmitLater:
    """`order` is on its way, and arrives with the first tick at or after `due`."""

    at: datetime
    due: datetime
    order: NewOrder


@dataclass(frozen=True, slots=True)
class LoseRace:
    """A cancel is accepted, and the order fills `quantity` before it could be cancelled: when races end, or with the
    next tick."""

    at: datetime
    order_id: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class EndRaces:
    """Cancels that were accepted have been answered: who fills first fills now. A lock-step waits for the outcome."""

    at: datetime


class View(StrEnum):
    """How prices are told that are not what the market does."""

    FROZEN = "frozen"
    NAN = "nan"
    CROSSED = "crossed"


@dataclass(frozen=True, slots=True)
class TellOtherwise:
    """Until `until` prices of `symbol` (`*`: of all) are told as `view` says; orders fill at the market's."""

    at: datetime
    symbol: str
    view: View
    until: datetime


@dataclass(frozen=True, slots=True)
class Maintain:
    """The venue is in maintenance until `until`, and no longer than `wall_secs` of the wall's time."""

    at: datetime
    until: datetime
    wall_secs: Decimal


FaultCommand = (
    ArmFaults
    | CountFault
    | CapFill
    | FillNow
    | Halt
    | CloseEarly
    | Liquidate
    | JournalShares
    | ScalePrices
    | SubmitLater
    | LoseRace
    | EndRaces
    | TellOtherwise
    | Maintain
)
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
    "submit_later": SubmitLater,
    "lose_race": LoseRace,
    "end_races": EndRaces,
    "tell_otherwise": TellOtherwise,
    "maintain": Maintain,
}
