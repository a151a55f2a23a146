"""Faults of orders, of the account and of the market. A docstring is what the documentation says of a kind."""

from datetime import time
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from holdfast_exchange.faults.base import Area, Fault, MarketSecs, Millis
from holdfast_exchange.orders import Side

# Orders


class PartialFill(Fault):
    """An order fills in part, and the rest waits."""

    area = Area.ORDER
    kind: Literal["partial_fill"]
    fraction: float = Field(default=0.4, gt=0, lt=1, description="Of its quantity, rounded down.")
    secs: MarketSecs = Field(default=300.0, description="Market seconds that the rest waits.")


class FillBeforeAck(Fault):
    """An order fills at once, and its fill is told before its POST is answered."""

    area = Area.ORDER
    kind: Literal["fill_before_ack"]
    ack_ms: Millis = Field(default=150.0, description="Wall milliseconds that the answer is held back.")


class CancelFillRace(Fault):
    """The order fills although its cancel was accepted: 204 first, then a fill."""

    area = Area.ORDER
    kind: Literal["cancel_fill_race"]
    fraction: float = Field(default=1.0, gt=0, le=1, description="Of what was still open; the rest is cancelled.")


class BothExitsFill(Fault):
    """A stop that was confirmed as cancelled fills all the same when the exit beside it does."""

    area = Area.ORDER
    kind: Literal["both_exits_fill"]


# The market and the account


class Maintenance(Fault):
    """The venue is in maintenance: every request is answered 503 and no stream stays open."""

    area = Area.TICK
    once = True
    kind: Literal["maintenance"]
    secs: MarketSecs = Field(default=300.0, description="Market seconds.")
    wall_secs: float = Field(
        default=10.0,
        gt=0,
        le=86_400,
        description="Wall seconds after which it is over in any case: a lock-step waits for its venue.",
    )


class Halt(Fault):
    """Trading in one symbol, or in all, is halted: nothing fills, and the data stream says so."""

    area = Area.TICK
    once = True
    kind: Literal["halt"]
    secs: MarketSecs = Field(default=600.0, description="Market seconds.")


class EarlyClose(Fault):
    """The venue closes early today: its clock and calendar say so, and DAY orders expire."""

    area = Area.TICK
    once = True
    kind: Literal["early_close"]
    close: time = Field(default=time(13, 0), description="Wall time of New York.")


class ForcedLiquidation(Fault):
    """The broker cancels the orders of a symbol and sells the position itself."""

    area = Area.TICK
    once = True
    needs_symbol = True
    kind: Literal["forced_liquidation"]


class ForeignOrder(Fault):
    """An order appears that nobody here has sent."""

    area = Area.TICK
    once = True
    needs_symbol = True
    kind: Literal["foreign_order"]
    side: Side = Side.BUY
    quantity: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Decimal(5)
    limit_fraction: Annotated[Decimal, Field(gt=0, le=2)] = Field(
        default=Decimal("0.5"), description="Its limit, as a part of the present price."
    )


class ForeignPosition(Fault):
    """Shares appear in the account that no order has bought."""

    area = Area.TICK
    once = True
    needs_symbol = True
    kind: Literal["foreign_position"]
    quantity: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Decimal(7)


class PositionDiffers(Fault):
    """The broker's position of a symbol that is held differs by some shares."""

    area = Area.TICK
    once = True
    needs_symbol = True
    kind: Literal["position_differs"]
    by: Annotated[Decimal, Field(ge=-1_000_000, le=1_000_000)] = Field(default=Decimal(-1), description="Shares.")

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if not self.by:
            raise ValueError("by must not be 0")
        return self


class SplitOvernight(Fault):
    """A split before a session opens: positions, orders and all prices afterwards follow its ratio."""

    area = Area.TICK
    once = True
    needs_symbol = True
    kind: Literal["split_overnight"]
    new_shares: int = Field(default=2, ge=1, le=1_000, description="For each `old_shares`.")
    old_shares: int = Field(default=1, ge=1, le=1_000)

    @model_validator(mode="after")
    def _splits(self) -> Self:
        if self.new_shares == self.old_shares:
            raise ValueError("new_shares and old_shares must differ")
        return self


class PriceGap(Fault):
    """Prices jump and stay there: orders fill at them."""

    area = Area.TICK
    once = True
    kind: Literal["price_gap"]
    factor: Annotated[Decimal, Field(gt=0, le=10)] = Field(
        default=Decimal("0.9"), description="Times the recorded price."
    )
    secs: MarketSecs = Field(default=3_600.0, description="Market seconds until the recorded prices return.")


class PriceFrozen(Fault):
    """Prices as they are told stand still, whatever the market does."""

    area = Area.TICK
    once = True
    kind: Literal["price_frozen"]
    secs: MarketSecs = Field(default=600.0, description="Market seconds.")


class PriceNan(Fault):
    """Prices as they are told are no numbers."""

    area = Area.TICK
    once = True
    kind: Literal["price_nan"]
    secs: MarketSecs = Field(default=300.0, description="Market seconds.")


class QuoteCrossed(Fault):
    """Quotes as they are told have their bid above their ask."""

    area = Area.TICK
    once = True
    kind: Literal["quote_crossed"]
    secs: MarketSecs = Field(default=300.0, description="Market seconds.")
