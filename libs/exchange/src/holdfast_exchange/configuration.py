"""What the owner of the account has set: Alpaca's account configurations (order protocol, `no_shorting`).

Changed by the command `Configure` alone, so that a restored exchange has it alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from holdfast_exchange.orders import Refusal
from holdfast_exchange.rules import unprocessable


class Check(StrEnum):
    """When the checks of day trading apply."""

    BOTH = "both"
    ENTRY = "entry"
    EXIT = "exit"


class ConfirmEmail(StrEnum):
    """Whether fills are confirmed by mail. Nothing is ever sent from here."""

    ALL = "all"
    NONE = "none"


MULTIPLIERS = ("1", "2", "4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Field names and values are Alpaca's."""

    dtbp_check: Check = Check.ENTRY
    """Which buying power an account of multiplier 4 has: day trading's (entry, both) or Regulation T's (exit)."""
    fractional_trading: bool = True
    """False: orders for parts of shares are refused. Coins are not shares."""
    max_margin_multiplier: str = "4"
    """Upper bound on the multiplier that the account was opened with."""
    max_options_trading_level: int = 0
    no_shorting: bool = True
    """True: no order may sell what is not held."""
    pdt_check: Check = Check.ENTRY
    """Which order the protection against a fourth day trade refuses."""
    ptp_no_exception_entry: bool = False
    suspend_trade: bool = False
    """True: every new order is refused."""
    trade_confirm_email: ConfirmEmail = ConfirmEmail.NONE

    def shown(self) -> dict[str, Any]:
        """In Alpaca's JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def changed(self, asked: Mapping[str, Any]) -> "Configuration":
        """With the fields of a PATCH; unknown ones are ignored, as Alpaca does. Raises Refusal 422."""
        known = {field.name for field in fields(self)}
        return replace(self, **{name: _read(name, value) for name, value in asked.items() if name in known})


_CHECKS = frozenset({"dtbp_check", "pdt_check"})
_FLAGS = frozenset({"fractional_trading", "no_shorting", "ptp_no_exception_entry", "suspend_trade"})


def _read(name: str, value: Any) -> Any:
    try:
        if name in _CHECKS:
            return Check(value)
        if name == "trade_confirm_email":
            return ConfirmEmail(value)
    except ValueError:
        raise _invalid(name, value) from None
    if name in _FLAGS and isinstance(value, bool):
        return value
    if name == "max_margin_multiplier" and str(value) in MULTIPLIERS:
        return str(value)
    if name == "max_options_trading_level" and type(value) is int and 0 <= value <= 3:
        return value
    raise _invalid(name, value)


def _invalid(name: str, value: Any) -> Refusal:
    return unprocessable(f"invalid {name}: {str(value)[:64]!r}")
