"""Strategies as people see them, and the connection to the broker, without which none of them trades (SQ-12, SQ-14)."""

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.domain import board, convert, words
from holdfast_admin.domain.sources import Sources
from holdfast_admin.domain.views import ConnectionView, HaltView, StrategyView
from holdfast_runtime.errors import Code, Refused, Retry
from holdfast_runtime.ledger_halts import CREDENTIALS

RUNNING = "running"
FAILED = "failed"
RECONNECT_STEPS = (
    "At the broker, make a new key and secret for this account, or make sure that the present ones are good.",
    "Give both as ALPACA_API_KEY and ALPACA_SECRET_KEY: in a cluster in the Secret; else start Holdfast with them.",
    "Reconnect: execution tries them on a read of the account, and goes on only where the broker takes them.",
    "Start the strategies that have failed: none of them starts by itself.",
)


def views(sources: Sources) -> list[StrategyView]:
    """Every strategy that execution knows, by name."""
    return [_view(sources, each) for _, each in sorted(sources.strategies.by_name.items())]


def view(sources: Sources, name: str) -> StrategyView:
    """One of them. Raises Refused STRATEGY_UNKNOWN naming the known ones; Retry before execution has told of any."""
    if sources.strategies.as_of is None:
        raise Retry("execution has not told of its strategies yet")
    found = sources.strategies.by_name.get(name)
    if found is None:
        known = ", ".join(sorted(sources.strategies.by_name)) or "none at all"
        raise Refused(Code.NOT_FOUND, "STRATEGY_UNKNOWN", f"there is no strategy {name!r}, only {known}")
    return _view(sources, found)


def connection(sources: Sources) -> ConnectionView:
    """Expired while a halt stands that a refusal of the credentials has set."""
    found = _expired(sources)
    if not found:
        return ConnectionView(expired=False, text="The broker takes the credentials")
    return ConnectionView(
        expired=True,
        text=words.halt(CREDENTIALS),
        reason=found[0].reason,
        since=found[0].since,
        what_to_do=list(RECONNECT_STEPS),
        halt_ids=[each.halt_id for each in found],
    )


def _expired(sources: Sources) -> list[HaltView]:
    return [each for each in board.halts(sources) if each.kind == CREDENTIALS]


def _view(sources: Sources, message: pb.Strategy) -> StrategyView:
    return StrategyView(
        strategy=message.strategy,
        state=message.state or RUNNING,
        reason=message.reason,
        set_by=message.set_by,
        since=convert.instant(message.since),
        trade_state=message.trade_state or "none",
        positions=[board.position(sources, each) for each in message.positions],
        open_orders=[convert.order(each) for each in message.open_intents],
        halts=[convert.halt(each) for each in message.halts],
    )
