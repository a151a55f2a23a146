"""How closely a strategy's target weights are followed (SY-2)."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from holdfast_core.portfolio import Policy
from holdfast_runtime.section import Section

Fraction = Annotated[Decimal, Field(ge=0, lt=1)]


class RebalanceSettings(Section):
    """A target weight of 1 then stands for the account's equity less the cash buffer, not for `allocation`."""

    cash_buffer: Fraction = Field(
        default=Decimal("0.02"), description="Part of the account that purchases leave in cash."
    )
    min_trade: Annotated[Decimal, Field(ge=0)] = Field(
        default=Decimal(100), description="Dollars of the smallest trade."
    )
    band: Fraction = Field(
        default=Decimal("0.01"), description="Part of the account by which a holding may differ from its target."
    )

    @property
    def policy(self) -> Policy:
        """As the rebalancer reads it."""
        return Policy(cash_buffer=self.cash_buffer, min_trade=self.min_trade, band=self.band)
