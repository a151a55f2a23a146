"""Strategies as people see and steer them: listed, stopped, started (SQ-10, SQ-12)."""

from collections.abc import Callable
from datetime import datetime

import structlog

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution import messages
from holdfast_execution.domain.strategies import SAFETY_ABORT, StrategyState, trade_state
from holdfast_execution.engine import Engine
from holdfast_execution.ledger import Ledger, LedgerReads
from holdfast_runtime.errors import Code, Refused
from holdfast_runtime.ledger_halts import CREDENTIALS
from holdfast_runtime.settings import Settings
from holdfast_runtime.wire import require

log = structlog.get_logger()

Change = Callable[[Ledger, int, datetime], None]
"""A write of the ledger, under an epoch and at an instant of market time."""


class StrategyDesk:
    """Known are the strategies that are configured and those that the ledger has seen."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._books = engine.books
        self._configured = frozenset(each.id for each in settings.traded if each.enabled)

    async def list_all(self) -> execution.ListStrategiesResponse:
        """All known strategies by id, as of one version of the ledger."""
        return await self._books.read(
            lambda ledger: execution.ListStrategiesResponse(
                strategies=[strategy_of(ledger, name) for name in self._known(ledger)],
                ledger_version=ledger.version(),
            )
        )

    async def stop(self, request: execution.StopStrategyRequest) -> execution.StopStrategyResponse:
        """No entry of it leaves from now on. One that does not run stays as it is.

        Raises Refused(NOT_HOLDER, STRATEGY_UNKNOWN) and Malformed.
        """
        require("StopStrategyRequest", [("strategy", request.strategy), ("stopped_by", request.stopped_by)])

        def stop(ledger: Ledger, epoch: int, now: datetime) -> None:
            if ledger.strategy(request.strategy).runs:
                ledger.set_strategy_state(
                    epoch,
                    now,
                    request.strategy,
                    StrategyState.STOPPED,
                    reason=request.note,
                    set_by=request.stopped_by,
                )

        stopped, version = await self._change(request.strategy, stop)
        log.warning("strategy.stopped", strategy=request.strategy, stopped_by=request.stopped_by, note=request.note)
        return execution.StopStrategyResponse(strategy=stopped, ledger_version=version)

    async def start(self, request: execution.StartStrategyRequest) -> execution.StartStrategyResponse:
        """It may enter again; the safety aborts of it are cleared, recorded with who and why. A running one stays so.

        Raises Refused(NOT_HOLDER, CREDENTIALS_REFUSED, STRATEGY_UNKNOWN) and Malformed.
        """
        require("StartStrategyRequest", [("strategy", request.strategy), ("started_by", request.started_by)])

        def start(ledger: Ledger, epoch: int, now: datetime) -> None:
            halts = ledger.halts()
            if self._engine.guard.shut or any(halt.kind == CREDENTIALS for halt in halts):
                raise Refused(
                    Code.FAILED_PRECONDITION,
                    "CREDENTIALS_REFUSED",
                    "the broker refuses the account's credentials: give good ones and clear the halt of kind "
                    f"`credentials`, then start {request.strategy}",
                )
            for halt in halts:
                if halt.kind == SAFETY_ABORT and halt.strategy == request.strategy:
                    ledger.clear_halt(epoch, now, halt.halt_id, request.started_by, request.note)
            if not ledger.strategy(request.strategy).runs:
                ledger.set_strategy_state(
                    epoch,
                    now,
                    request.strategy,
                    StrategyState.RUNNING,
                    reason=request.note,
                    set_by=request.started_by,
                )

        started, version = await self._change(request.strategy, start)
        log.warning("strategy.started", strategy=request.strategy, started_by=request.started_by, note=request.note)
        return execution.StartStrategyResponse(strategy=started, ledger_version=version)

    async def _change(self, strategy: str, change: Change) -> tuple[execution.Strategy, int]:
        def write(ledger: Ledger, epoch: int, now: datetime) -> tuple[execution.Strategy, int]:
            self._require_known(ledger, strategy)
            change(ledger, epoch, now)
            return strategy_of(ledger, strategy), ledger.version()

        return await self._books.write(write)

    def _known(self, ledger: LedgerReads) -> list[str]:
        return sorted(self._configured | {row.strategy for row in ledger.strategies()})

    def _require_known(self, ledger: LedgerReads, strategy: str) -> None:
        known = self._known(ledger)
        if strategy not in known:
            raise Refused(
                Code.NOT_FOUND,
                "STRATEGY_UNKNOWN",
                f"there is no strategy {strategy!r}, only {', '.join(known) or 'none at all'}",
                {"known": ",".join(known)},
            )


def strategy_of(ledger: LedgerReads, strategy: str) -> execution.Strategy:
    """The strategy with all that is open of it."""
    parts = ledger.parts()
    held = [row for row in parts.positions.values() if row.strategy == strategy and row.quantity]
    last_sale = ledger.last_sale(strategy)
    made = messages.to_strategy(ledger.strategy(strategy))
    made.trade_state = trade_state(holds=bool(held), last_sale=last_sale.purpose if last_sale is not None else None)
    made.positions.extend(messages.to_position(row) for row in held)
    made.open_intents.extend(messages.to_intent(row) for row in parts.intents.values() if row.strategy == strategy)
    made.halts.extend(messages.to_halt(row) for row in ledger.halts() if row.strategy == strategy)
    return made
