"""The ordered list of gates: what holds for everything first, what settles the order last."""

from holdfast_gate.gates.asset import AssetTradable
from holdfast_gate.gates.base import Gate
from holdfast_gate.gates.buying_power import BuyingPower
from holdfast_gate.gates.caps import NotionalCaps
from holdfast_gate.gates.collar import PriceCollar
from holdfast_gate.gates.cooldown import Cooldown
from holdfast_gate.gates.cycle_expired import CycleExpired
from holdfast_gate.gates.entries_locked import EntriesLocked
from holdfast_gate.gates.entries_per_day import EntriesPerDay
from holdfast_gate.gates.feed import FeedFresh
from holdfast_gate.gates.holding import HoldingToExit
from holdfast_gate.gates.kill_switch import KillSwitch
from holdfast_gate.gates.max_new_per_cycle import MaxNewPerCycle
from holdfast_gate.gates.max_positions import MaxPositions
from holdfast_gate.gates.reconciliation import Reconciled
from holdfast_gate.gates.score import ScoreHigh
from holdfast_gate.gates.session import SessionOpen
from holdfast_gate.gates.size import Size
from holdfast_gate.gates.strategy import StrategyRuns
from holdfast_gate.gates.symbol_halted import SymbolHalted
from holdfast_gate.gates.symbol_owner import SymbolOwner

GATES: tuple[Gate, ...] = (
    CycleExpired(),
    KillSwitch(),
    EntriesLocked(),
    Reconciled(),
    SessionOpen(),
    HoldingToExit(),
    StrategyRuns(),
    SymbolHalted(),
    AssetTradable(),
    FeedFresh(),
    ScoreHigh(),
    SymbolOwner(),
    MaxPositions(),
    MaxNewPerCycle(),
    Cooldown(),
    EntriesPerDay(),
    PriceCollar(),
    Size(),
    NotionalCaps(),
    BuyingPower(),
)
"""Order matters: a signal stops at its first block, and a gate may rely on what an earlier one settled."""
