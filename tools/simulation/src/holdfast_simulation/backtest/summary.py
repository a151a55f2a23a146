"""What a report says of a backtest beyond what every run's report says: figures, curves, and who blocked what."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_core.money import plain
from holdfast_core.new_york import NEW_YORK
from holdfast_exchange.books import EntryKind
from holdfast_runtime.settings import Book, Settings
from holdfast_simulation.backtest import metrics
from holdfast_simulation.backtest.run import Outcome

MOST_POINTS = 4_000
"""Of one line that is drawn."""
FEES = (EntryKind.FEE, EntryKind.CRYPTO_FEE)

Item = TypeVar("Item")


def summary(settings: Settings, outcome: Outcome) -> dict[str, Any]:
    """Plain JSON. Figures are numbers, None where they are not defined (metrics); curves are thinned for drawing."""
    replay = settings.replay
    drops = metrics.drawdowns([replay.starting_cash, *(point.equity for point in outcome.curve)])[1:]
    shown = thinned(list(zip(outcome.curve, drops, strict=True)))
    return {
        "strategies": {
            each.id: {"kind": each.kind} | each.model_dump(mode="json")["parameters"]
            for each in settings.traded
            if each.enabled
        },
        "assumptions": {
            "starting_cash": str(replay.starting_cash),
            "commission_per_share": str(replay.account.commission_per_share),
            "commission_per_order": str(replay.account.commission_per_order),
            "slippage_bps": str(replay.slippage_bps),
            "volume_share": str(replay.volume_share),
        },
        "figures": figures_of(settings, outcome),
        "zone": str(zone_of(settings)),
        "blocked": blocked(outcome.decisions),
        "curve": {
            "at": [_secs(point.at) for point, _ in shown],
            "equity": [float(point.equity) for point, _ in shown],
            "exposure": [float(point.held / point.equity) for point, _ in shown],
            "drawdown": [drop for _, drop in shown],
        },
        "prices": _prices(outcome),
    }


def figures_of(settings: Settings, outcome: Outcome) -> dict[str, Any]:
    """The metrics as JSON; costs are what the venue has taken, in dollars. Slippage is in the prices of the fills."""
    books = outcome.exchange.books
    found = metrics.figures(
        outcome.curve,
        starting_cash=settings.replay.starting_cash,
        profits=profits(outcome.ledger.fills),
        traded=sum((fill.price * fill.quantity for fill in books.fills), Decimal(0)),
        costs=-sum((books.outside.get(kind, Decimal(0)) for kind in FEES), Decimal(0)),
        zone=zone_of(settings),
        days_a_year=metrics.CRYPTO_DAYS if Book.CRYPTO in settings.active_books else metrics.EQUITY_DAYS,
    )
    return asdict(found) | {"costs": format(plain(found.costs), "f")}


def zone_of(settings: Settings) -> ZoneInfo:
    """Whose midnight ends a day: New York's, or UTC's where pairs alone are traded."""
    return NEW_YORK if Book.EQUITY in settings.active_books else ZoneInfo("UTC")


def profits(fills: Sequence[execution.Fill]) -> list[Decimal]:
    """Realised by each order that sold, in the order of their first fills: several fills of one order are one trade."""
    by_order: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        if fill.side == common.SIDE_SELL:
            by_order[fill.intent_id] += Decimal(fill.realised_pnl.value or 0)
    return list(by_order.values())


def blocked(decisions: Sequence[gate.Decision]) -> list[dict[str, Any]]:
    """How often each gate blocked, and with what reason: the gate that a decision was blocked by first counts."""
    found: Counter[tuple[str, str]] = Counter()
    for decision in decisions:
        if not decision.allowed:
            by = next((each.gate for each in decision.verdicts if each.outcome == gate.OUTCOME_BLOCK), "")
            found[by, decision.reason] += 1
    return [{"gate": by, "reason": reason, "count": count} for (by, reason), count in sorted(found.items())]


def thinned(rows: Sequence[Item], most: int = MOST_POINTS) -> list[Item]:
    """At most so many of them, evenly, the last one always."""
    step = -(-len(rows) // most) or 1
    return [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % step == 0]


def _prices(outcome: Outcome) -> dict[str, Any]:
    """Closes of what was traded, over the replayed time."""
    market, traded = outcome.exchange.market, {fill.symbol for fill in outcome.ledger.fills}
    found = {}
    for symbol in sorted(traded):
        bars = thinned(market.trading_bars(symbol, outcome.curve[0].at, outcome.curve[-1].at))
        found[symbol] = {"at": [_secs(bar.end) for bar in bars], "close": [float(bar.close) for bar in bars]}
    return found


def _secs(at: datetime) -> int:
    return int(at.timestamp())
