"""What befalls the venue and its market: halts, held replacements, falling prices, splits, orders of somebody else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast_exchange.account_commands import Announce
from holdfast_exchange.commands import Command
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.faults.commands import Halt, ScalePrices
from holdfast_exchange.holds import Step
from holdfast_exchange.orders import Refusal, Status
from holdfast_exchange.venue_commands import Hold, RejectReplacement
from holdfast_simulation.world import market as markets
from holdfast_simulation.world.clocks import WorldMarketClock
from holdfast_simulation.world.faults import Fault, Kind, Weather, split_rates
from holdfast_simulation.world.story import Story
from holdfast_simulation.world.venue import VenueServer

FALL = Decimal("0.93")


@dataclass(frozen=True, slots=True)
class Split:
    """One that has taken effect; `ratio`: new shares for each old one."""

    at: datetime
    ratio: Decimal


@dataclass(frozen=True, slots=True)
class VenueFaults:
    """Begins and ends what befalls the venue. `until`: the last tick; what changes prices changes them for good."""

    server: VenueServer
    weather: Weather
    market_clock: WorldMarketClock
    story: Story
    foreign: set[str]
    """Gets the symbols in which somebody else has traded."""
    splits: dict[str, Split]
    """Gets what was split, by symbol."""
    speed: float
    until: datetime

    @property
    def begins(self) -> dict[Kind, Callable[[Fault], None]]:
        """What each kind does when it begins."""
        return {
            Kind.TRADING_HALT: self._halt,
            Kind.PRICE_FALLS: self._fall,
            Kind.SPLIT: self._split,
            Kind.FOREIGN_ORDER: self._trade_for_somebody_else,
            Kind.REPLACEMENT_HELD: self._hold_replacements,
        }

    @property
    def ends(self) -> dict[Kind, Callable[[Fault], None]]:
        """What each kind does when it has lasted long enough; the others end by themselves, or never."""
        return {Kind.REPLACEMENT_HELD: self._let_go}

    def _let_go(self, fault: Fault) -> None:
        now = self.market_clock.now()
        self._at_venue(Hold(now, Step.REPLACE, Decimal(0), fault.target))
        for order in self.server.exchange.open_orders():
            leaving = order.symbol == fault.target and order.status is Status.PENDING_REPLACE
            if leaving and self.weather.chance(fault).random() < fault.probability:
                self._at_venue(RejectReplacement(now, order.id))

    def _halt(self, fault: Fault) -> None:
        now = self.market_clock.now()
        self._at_venue(Halt(now, fault.target, now + timedelta(seconds=fault.lasts_secs * self.speed)))

    def _fall(self, fault: Fault) -> None:
        self._at_venue(ScalePrices(self.market_clock.now(), fault.target, FALL, self.until))

    def _split(self, fault: Fault) -> None:
        now = self.market_clock.now()
        new, old = split_rates(fault)
        kind = ActionKind.FORWARD_SPLIT if new > old else ActionKind.REVERSE_SPLIT
        action = CorporateAction(kind=kind, symbol=fault.target, ex_date=now.date(), old_rate=old, new_rate=new)
        self.splits[fault.target] = Split(now, action.ratio)
        self._at_venue(Announce(now, action))
        self._at_venue(ScalePrices(now, fault.target, old / new, self.until))

    def _hold_replacements(self, fault: Fault) -> None:
        secs = Decimal(str(fault.lasts_secs * self.speed))
        self._at_venue(Hold(self.market_clock.now(), Step.REPLACE, secs, fault.target))

    def _trade_for_somebody_else(self, fault: Fault) -> None:
        price = self.server.exchange.market.price(fault.target) or Decimal(100)
        self.foreign.add(fault.target)
        try:
            self.server.send_foreign(fault.target, Decimal(3), (price * 2).quantize(markets.CENT))
        except Refusal as refusal:
            self.story.say(f"foreign order refused: {refusal}")

    def _at_venue(self, command: Command) -> None:
        try:
            self.server.carry_out(command)
        except Refusal as refusal:
            self.story.say(f"refused: {refusal}")
