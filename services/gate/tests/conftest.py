"""One calm minute of trading in which everything passes; a test changes what its requirement is about."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_gate.domain.funds import Funds
from holdfast_gate.domain.ledger import LedgerView
from holdfast_gate.domain.market import Price
from holdfast_gate.domain.rules import Rules
from holdfast_gate.domain.signals import Candidate, Context, CycleFacts, Direction
from holdfast_gate.evaluator import Decided, evaluate
from holdfast_runtime.settings import Settings, StrategySettings
from holdfast_runtime.wire import to_timestamp

NOON = datetime(2013, 10, 7, 16, 0, tzinfo=UTC)
SYMBOLS = ("AIG", "BAC", "IBM", "SPY", *(f"X{number:02d}" for number in range(30)))


def decimal(value: object) -> common.Decimal:
    return common.Decimal(value=str(value))


def settings(**limits: Any) -> Settings:
    strategy = StrategySettings(id="sma", kind="sma", symbols=SYMBOLS)
    other = StrategySettings(id="rotation", kind="rotation", symbols=("SPY",))
    return Settings(strategies=(strategy, other), gate=limits)


def calm_snapshot() -> execution.LedgerSnapshot:
    return execution.LedgerSnapshot(
        version=7,
        account=execution.Account(cash=decimal(100_000), reserved=decimal(0)),
        reconciliation=execution.ReconciliationVerdict(
            state=execution.RECONCILIATION_STATE_CLEAN, market_time=to_timestamp(NOON - timedelta(seconds=30))
        ),
        assets=[execution.AssetFacts(symbol=symbol, tradable=True, status="active") for symbol in SYMBOLS],
        strategies=[execution.StrategyProgress(strategy="sma", state="running")],
    )


def bar_price(symbol: str, last: str = "100", *, at: datetime = NOON) -> Price:
    return Price(
        symbol=symbol,
        bid=None,
        ask=None,
        quote_at=None,
        last=Decimal(last),
        bar_at=at,
        bar_interval=timedelta(seconds=60),
        connected=True,
        halted=False,
    )


def enter(symbol: str = "SPY", **changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "signal_id": f"sma.{symbol}.enter",
        "symbol": symbol,
        "direction": Direction.ENTER_LONG,
        "score": 3.0,
        "target_weight": Decimal(1),
        "signal_price": Decimal(100),
        "stop_fraction": Decimal("0.05"),
    }
    return Candidate(**{**values, **changes})


def leave(symbol: str = "SPY", **changes: Any) -> Candidate:
    return enter(symbol, **{"signal_id": f"sma.{symbol}.exit", "direction": Direction.EXIT_LONG, **changes})


@dataclass
class World:
    """Facts to change, then `decide`."""

    limits: dict[str, Any] = field(default_factory=dict)
    snapshot: execution.LedgerSnapshot = field(default_factory=calm_snapshot)
    prices: dict[str, Price] = field(default_factory=lambda: {symbol: bar_price(symbol) for symbol in SYMBOLS})
    now: datetime = NOON
    session_open: bool = True
    strategy: str = "sma"
    valid_until: datetime = NOON + timedelta(seconds=60)
    book: str = "equity"
    rules: Rules | None = None

    def hold(self, symbol: str, quantity: object = 10, *, strategy: str = "sma", price: object = 100) -> None:
        self.snapshot.positions.add(
            symbol=symbol,
            strategy=strategy,
            book=common.BOOK_EQUITY,
            quantity=decimal(quantity),
            average_price=decimal(price),
        )

    def order(
        self,
        symbol: str,
        purpose: execution.Purpose = execution.PURPOSE_ENTRY,
        *,
        strategy: str = "sma",
        quantity: object = 10,
        filled: object = 0,
    ) -> None:
        self.snapshot.open_intents.add(
            intent_id=f"{symbol}-{purpose}",
            symbol=symbol,
            strategy=strategy,
            book=common.BOOK_EQUITY,
            purpose=purpose,
            quantity=decimal(quantity),
            filled_quantity=decimal(filled),
        )

    def halt(self, kind: str, *, symbol: str = "", strategy: str = "") -> None:
        self.snapshot.halts.add(
            halt_id="h1",
            kind=kind,
            symbol=symbol,
            strategy=strategy,
            reason="a test",
            set_by="ada",
            since=to_timestamp(NOON),
        )

    def entered(self, symbol: str, *, ago: timedelta, today: int = 1) -> None:
        self.snapshot.last_entries.add(symbol=symbol, market_time=to_timestamp(self.now - ago), entries_today=today)

    def verdict(self, state: execution.ReconciliationState, *, age_secs: float = 0) -> None:
        self.snapshot.reconciliation.state = state
        self.snapshot.reconciliation.market_time.FromDatetime(self.now - timedelta(seconds=age_secs))

    def context(self) -> Context:
        ledger = LedgerView.of(self.snapshot)
        rules = self.rules or Rules.of(settings(**self.limits))
        return Context(
            rules=rules,
            cycle=CycleFacts(
                cycle_id=f"{self.strategy}.cycle",
                strategy=self.strategy,
                book=self.book,
                market_time=NOON,
                valid_until=self.valid_until,
            ),
            now=self.now,
            session_open=self.session_open,
            ledger=ledger,
            prices=self.prices,
            funds=Funds.of(ledger, self.prices),
            strategy=rules.strategies.get(self.strategy),
        )

    def decide_all(self, *candidates: Candidate) -> list[Decided]:
        return evaluate(candidates, self.context())

    def decide(self, candidate: Candidate | None = None) -> Decided:
        (decided,) = self.decide_all(candidate or enter())
        return decided


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> type[World]:
    return World


@pytest.fixture
def make_enter() -> Any:
    return enter


@pytest.fixture
def make_exit() -> Any:
    return leave


@pytest.fixture
def make_price() -> Any:
    return bar_price


@pytest.fixture
def make_settings() -> Any:
    return settings


def request_of(*scored: gate.ScoredSignal, cycle_id: str = "sma.1", at: datetime = NOON) -> gate.EvaluateRequest:
    return gate.EvaluateRequest(
        cycle_id=cycle_id,
        strategy="sma",
        book=common.BOOK_EQUITY,
        market_time=to_timestamp(at),
        valid_until=to_timestamp(at + timedelta(seconds=60)),
        signals=scored,
    )


def scored_signal(symbol: str = "SPY", /, score: float = 3.0, **changes: Any) -> gate.ScoredSignal:
    values: dict[str, Any] = {
        "signal_id": f"sma.{symbol}.enter",
        "symbol": symbol,
        "direction": common.DIRECTION_ENTER_LONG,
        "target_weight": decimal(1),
        "reference_price": decimal(100),
        "stop_fraction": decimal("0.05"),
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "strength": 0.7,
    }
    scored = gate.ScoredSignal(signal=signal.Signal(**{**values, **changes}))
    scored.score.value = score
    return scored


@pytest.fixture
def make_request() -> Any:
    return request_of


@pytest.fixture
def make_scored() -> Any:
    return scored_signal


@pytest.fixture
def noon() -> datetime:
    return NOON
