"""Parts shared by the tests of admin: facts, a ledger of its own, and the application around them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.failurepoint.v1 import failurepoint_pb2
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_admin.adapters.halt_ledger import HaltLedger
from holdfast_admin.audit import Audit, Journal
from holdfast_admin.claims import ClaimDesk
from holdfast_admin.domain.sources import Sources
from holdfast_admin.operations import Operations
from holdfast_admin.reconnection import Reconnection
from holdfast_admin.strategies import StrategyDesk
from holdfast_admin.web.access import Access
from holdfast_admin.web.app import build_app
from holdfast_admin.web.context import Context
from holdfast_catalogue.doctor.checks import Check, well
from holdfast_catalogue.doctor.clinic import Clinic
from holdfast_catalogue.doctor.examiner import Examiner
from holdfast_core.sessions import calendar_of
from holdfast_runtime.errors import Code, Refused, Retry
from holdfast_runtime.ledger_halts import halts_table
from holdfast_runtime.secrets import Secret
from holdfast_runtime.settings import Settings
from holdfast_runtime.wire import to_decimal, to_timestamp
from holdfast_simulation.memory_bus import MemoryBucket

NOW = datetime(2013, 10, 8, 14, 30, tzinfo=UTC)
TOKEN = "a-token-that-nobody-guesses"
ACCOUNT = "paper"


class Clock:
    """A clock that stands until it is moved, market and monotonic."""

    def __init__(self) -> None:
        self.secs = 1_000.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.secs - 1_000.0)

    async def sleep_until(self, instant: datetime) -> None:
        raise AssertionError("nothing here sleeps")

    def now_secs(self) -> float:
        return self.secs

    async def sleep(self, secs: float) -> None:
        self.secs += secs
        await asyncio.sleep(0)


FOREIGN = "IBM"
"""Of which the broker holds 7 that the ledger does not know."""


class Execution:
    """Answers as execution does; `away` makes it unreachable."""

    def __init__(self) -> None:
        self.away = False
        self.ledger = pb.GetLedgerResponse()
        self.readings = 0
        self.cleared: list[pb.ClearHaltRequest] = []
        self.strategies: dict[str, pb.Strategy] = {}
        self.claims: list[pb.ClaimPositionRequest] = []
        self.version = 1

    async def list_strategies(self, _: pb.ListStrategiesRequest) -> pb.ListStrategiesResponse:
        self._answer()
        return pb.ListStrategiesResponse(strategies=self.strategies.values(), ledger_version=self.version)

    async def stop_strategy(self, request: pb.StopStrategyRequest) -> pb.StopStrategyResponse:
        changed = self._set(request.strategy, "stopped", request.note, request.stopped_by)
        return pb.StopStrategyResponse(strategy=changed, ledger_version=self.version)

    async def start_strategy(self, request: pb.StartStrategyRequest) -> pb.StartStrategyResponse:
        changed = self._set(request.strategy, "running", request.note, request.started_by)
        return pb.StartStrategyResponse(strategy=changed, ledger_version=self.version)

    def _set(self, name: str, state: str, reason: str, set_by: str) -> pb.Strategy:
        self._answer()
        if name not in self.strategies:
            known = ", ".join(self.strategies)
            raise Refused(Code.NOT_FOUND, "STRATEGY_UNKNOWN", f"there is no strategy {name!r}, only {known}")
        self.version += 1
        changed = self.strategies[name]
        changed.state, changed.reason, changed.set_by = state, reason, set_by
        changed.since.CopyFrom(to_timestamp(NOW))
        return changed

    def _answer(self) -> None:
        if self.away:
            raise Retry("execution does not answer")

    async def claim_position(self, request: pb.ClaimPositionRequest) -> pb.ClaimPositionResponse:
        self._answer()
        if request.symbol != FOREIGN:
            raise Refused(Code.FAILED_PRECONDITION, "NOTHING_DIFFERS", "nothing to claim")
        self.claims.append(request)
        booked = pb.Adjustment(
            adjustment_id="" if request.dry_run else f"claim.{FOREIGN}.9", kind="CLAIM", symbol=FOREIGN,
            strategy=request.strategy, quantity=amount("7"), price=amount("180.5"), cash=amount("0"),
            description=f"claimed by {request.claimed_by}: {request.note}",
        )  # fmt: skip
        return pb.ClaimPositionResponse(adjustment=booked, ledger_quantity=amount("0"), broker_quantity=amount("7"))

    async def clear_halt(self, request: pb.ClearHaltRequest) -> pb.ClearHaltResponse:
        self._answer()
        if not request.halt_id:
            raise Refused(Code.NOT_FOUND, "HALT_UNKNOWN", "no such halt")
        self.cleared.append(request)
        return pb.ClearHaltResponse(ledger_version=1)

    async def get_holder(self, _: pb.GetHolderRequest) -> pb.GetHolderResponse:
        self._answer()
        return pb.GetHolderResponse(holder="pod-a", epoch=1, is_holder=True)

    async def get_ledger(self, _: pb.GetLedgerRequest) -> pb.GetLedgerResponse:
        self._answer()
        self.readings += 1
        return self.ledger


class Facts:
    """Makes facts with growing event ids."""

    def __init__(self) -> None:
        self._ids = count(1)

    def fact(self, kind: str, aggregate: str, at: datetime = NOW, **body: Any) -> pb.Fact:
        event_id = next(self._ids)
        return pb.Fact(
            event_id=event_id, aggregate_version=event_id, kind=kind, aggregate=aggregate,
            market_time=to_timestamp(at), recorded_at=to_timestamp(at), summary=f"{kind} {aggregate}", **body,
        )  # fmt: skip

    def account(self, cash: str = "100000", at: datetime = NOW) -> pb.Fact:
        account = pb.Account(
            account_id=ACCOUNT, cash=amount(cash), starting_cash=amount("100000"), realised_pnl=amount("0"),
            reserved=amount("0"),
        )  # fmt: skip
        return self.fact("account", ACCOUNT, at, account=account)

    def position(self, symbol: str, quantity: str, at: datetime = NOW, **fields: Any) -> pb.Fact:
        body = pb.Position(
            symbol=symbol, strategy="sma", quantity=amount(quantity), average_price=amount("10"),
            protection=pb.PROTECTION_ACTIVE, stop_price=amount("9.5"), stop_quantity=amount(quantity),
            opened_at=to_timestamp(at), **fields,
        )  # fmt: skip
        return self.fact("position", symbol, at, position=body)

    def intent(self, intent_id: str, state: pb.IntentState.ValueType, at: datetime = NOW) -> pb.Fact:
        body = pb.Intent(
            intent_id=intent_id, strategy="sma", symbol="SPY", side=common.SIDE_BUY, purpose=pb.PURPOSE_ENTRY,
            state=state, quantity=amount("5"), order_type="limit", time_in_force="day", created_at=to_timestamp(at),
        )  # fmt: skip
        return self.fact("intent", intent_id, at, intent=body)

    def fill(self, fill_id: str, at: datetime = NOW) -> pb.Fact:
        body = pb.Fill(
            fill_id=fill_id, intent_id="i", symbol="SPY", strategy="sma", side=common.SIDE_BUY, quantity=amount("5"),
            price=amount("10.25"), filled_at=to_timestamp(at),
        )  # fmt: skip
        return self.fact("fill", fill_id, at, fill=body)

    def halt(self, halt_id: str, *, cleared: bool = False, kind: str = "kill_switch", at: datetime = NOW) -> pb.Fact:
        body = pb.Halt(halt_id=halt_id, kind=kind, reason="drill", set_by="ada", since=to_timestamp(at))
        return self.fact("halt", halt_id, at, halt=body, cleared=cleared)

    def decision(self, signal_id: str, *, reason: str = "ALLOWED", strategy: str = "sma") -> pb.Fact:
        return self.decisions(self.decided(signal_id, reason=reason, strategy=strategy))

    def decisions(self, *decided: gate.Decision) -> pb.Fact:
        return self.fact("decisions", "c", decisions=pb.Decisions(decisions=decided))

    @staticmethod
    def decided(signal_id: str, *, reason: str = "ALLOWED", strategy: str = "sma") -> gate.Decision:
        allowed = reason == "ALLOWED"
        verdicts = [gate.Verdict(gate="kill_switch", outcome=gate.OUTCOME_PASS)]
        if not allowed:
            numbers = {"limit_secs": "900", "age_secs": "120"}
            message = "SPY was entered a short while ago."
            verdicts.append(
                gate.Verdict(
                    gate="cooldown", outcome=gate.OUTCOME_BLOCK, reason=reason, message=message, numbers=numbers
                )
            )
        return gate.Decision(
            signal_id=signal_id, cycle_id="c", strategy=strategy, symbol="SPY", allowed=allowed, reason=reason,
            direction=common.DIRECTION_ENTER_LONG, verdicts=verdicts, market_time=to_timestamp(NOW),
        )  # fmt: skip

    def verdict(self, state: pb.ReconciliationState.ValueType = pb.RECONCILIATION_STATE_CLEAN) -> pb.Fact:
        body = pb.ReconciliationVerdict(state=state, market_time=to_timestamp(NOW))
        return self.fact("reconciliation", ACCOUNT, reconciliation=body)


def amount(text: str) -> common.Decimal:
    found = to_decimal(Decimal(text))
    assert found is not None
    return found


class Admin:
    """The application and all around it."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.sources = Sources()
        self.execution = Execution()
        self.points: list[failurepoint_pb2.FailurePoint] = []
        self.ledger_file = folder / "ledger.db"
        self.settings = Settings(state_dir=folder)
        self.audit = Audit(folder)
        names = count(1)
        url = f"sqlite:///{self.ledger_file}"
        journal = Journal(self.audit, market_clock=self.clock, wall_clock=self.clock)
        self.operations = Operations(
            self.sources, halts=HaltLedger(lambda: url, ACCOUNT), execution=self.execution, journal=journal,  # type: ignore[arg-type]  # only clear_halt is called
            market_clock=self.clock, wall_clock=self.clock, changed=lambda: None,
        )  # fmt: skip
        self.access = Access(token=lambda: Secret(TOKEN), clock=self.clock, new_id=lambda: f"session-{next(names)}")
        bucket = MemoryBucket("doctor")
        self.checks = [Check(name="bus", look=lambda: self.seen, steps=("look",))]
        self.seen = well("it answers")
        self.examiner = Examiner(
            "admin", "host", self.checks, bucket=bucket, clock=self.clock, wall=self.clock, market=self.clock,
            calendars=[calendar_of("equity")], ready=lambda: True,
        )  # fmt: skip
        self.speaking: set[str] = set()
        self.clinic = Clinic(bucket, self.examiner, speaking=lambda: self.speaking, clock=self.clock)
        desk = StrategyDesk(self.sources, execution=self.execution, journal=journal, changed=lambda: None)  # type: ignore[arg-type]  # only what is called
        claims = ClaimDesk(execution=self.execution, journal=journal, changed=lambda: None)  # type: ignore[arg-type]  # only what is called
        reconnection = Reconnection(
            self.sources, clinic=self.clinic, operations=self.operations, journal=journal, clock=self.clock
        )
        self.app = build_app(
            Context(
                settings=self.settings, sources=self.sources, operations=self.operations, audit=self.audit,
                strategies=desk, claims=claims, reconnection=reconnection,
                access=self.access, market_clock=self.clock, wall_clock=self.clock, calendar=calendar_of("equity"),
                clinic=self.clinic, failure_points=lambda: self.points,
            )
        )  # fmt: skip

    def tell_strategies(self, *found: pb.Strategy) -> None:
        """What execution has, as the reader's next turn takes it over."""
        self.execution.strategies = {each.strategy: each for each in found}
        self.sources.strategies.take(found, self.execution.version)

    def make_ledger(self) -> None:
        """The table that execution makes."""
        metadata = sa.MetaData()
        halts_table(metadata)
        engine = sa.create_engine(f"sqlite:///{self.ledger_file}")
        metadata.create_all(engine)
        engine.dispose()

    def rows(self) -> list[dict[str, Any]]:
        """What the ledger's halts hold."""
        engine = sa.create_engine(f"sqlite:///{self.ledger_file}")
        with engine.connect() as connection:
            found = [dict(row._mapping) for row in connection.execute(sa.text("SELECT * FROM halts"))]
        engine.dispose()
        return found

    def client(self, *, raise_app_exceptions: bool = True, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions, client=("10.0.0.7", 4711))
        return httpx.AsyncClient(transport=transport, base_url="http://admin.test", headers=headers)


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    found = Admin(tmp_path)
    yield found
    found.audit.close()


@pytest.fixture
async def api(admin: Admin) -> AsyncIterator[httpx.AsyncClient]:
    """A caller that shows the token."""
    async with admin.client(Authorization=f"Bearer {TOKEN}", **{"X-Operator": "ada"}) as client:
        yield client
