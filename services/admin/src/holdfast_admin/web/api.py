"""The JSON API, /api/v1: everything the pages show, and the same actions."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, StringConstraints

from holdfast_admin import doctors
from holdfast_admin.audit import Person
from holdfast_admin.domain import board, convert, points, strategies
from holdfast_admin.domain.views import (
    AuditEntry,
    ClaimView,
    ConnectionView,
    DecisionView,
    DoctorView,
    EquityView,
    FailurePointsView,
    FillView,
    HaltView,
    HealthView,
    KillSwitchView,
    OrderView,
    PositionView,
    ReconciliationView,
    StatusView,
    StrategyView,
)
from holdfast_admin.web.context import Context
from holdfast_admin.web.guard import person_of
from holdfast_runtime.errors import Code, Refused

MAX_ROWS = 1_000
DEFAULT_ROWS = 200

Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows, newest first.")]


NoteText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=300)]


class Problem(BaseModel):
    """Why a request was refused: a stable code and one sentence."""

    code: str
    message: str


class EngageRequest(BaseModel):
    """Why the kill switch is engaged, for the record."""

    reason: str = Field(default="engaged by hand", min_length=1, max_length=300)


class Note(BaseModel):
    """Why this is done, for the record."""

    note: NoteText = Field(description="In your words: why it is right, why it is safe.")


class ClaimRequest(Note):
    """Which position, for whom, and why the broker holds something else."""

    symbol: str = Field(min_length=1, max_length=20)
    strategy: str = Field(default="", max_length=64, description="Who shall own it; empty: who owns it already.")
    dry_run: bool = Field(default=False, description="Only say what would be booked.")


UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "Names the known ones."}}
REFUSED: dict[int | str, dict[str, Any]] = {409: {"model": Problem, "description": "Not as things stand."}}
ERRORS: dict[int | str, dict[str, object]] = {
    401: {"model": Problem, "description": "No token, or a wrong one."},
    403: {"model": Problem, "description": "A request that a foreign page made."},
    429: {"model": Problem, "description": "Too many wrong tokens."},
    503: {"model": Problem, "description": "What this needs does not answer now."},
}


def asker(request: Request) -> Person:
    """Who asks. Raises Refused where nobody says."""
    context: Context = request.app.state.context
    found = person_of(request, context.access)
    if found is None:
        raise Refused(Code.UNAUTHENTICATED, "NO_TOKEN", "Authorization: Bearer <token> is missing, or the session over")
    return found


Asker = Annotated[Person, Depends(asker)]


def build_api(context: Context) -> APIRouter:
    """The routes. Amounts are decimal strings, instants are ISO 8601 in UTC."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(asker)], responses=ERRORS)
    sources, operations, audit = context.sources, context.operations, context.audit

    @api.get("/status", summary="Is it safe to trade now, and why not")
    async def status() -> StatusView:
        return context.status()

    @api.get("/positions", summary="What is held, with stops and the owner of each exit")
    async def positions() -> list[PositionView]:
        return board.positions(sources)

    @api.get("/orders", summary="Orders, newest first")
    async def orders(limit: Limit = DEFAULT_ROWS, only_open: bool = False) -> list[OrderView]:
        return context.orders(limit, only_open=only_open)

    @api.get("/fills", summary="Fills, newest first")
    async def fills(limit: Limit = DEFAULT_ROWS) -> list[FillView]:
        return context.fills(limit)

    @api.get("/decisions", summary="Decisions with every gate's verdict, newest first")
    async def decisions(
        limit: Limit = DEFAULT_ROWS,
        strategy: str = "",
        outcome: Literal["", "allowed", "blocked"] = "",
        reason: str = "",
    ) -> list[DecisionView]:
        found = context.decisions(strategy=strategy, outcome=outcome, reason=reason)[:limit]
        return [convert.decision(each) for each in found]

    @api.get("/equity", summary="Equity by minute of market time")
    async def equity(after: Annotated[int, Query(ge=0)] = 0, revision: int = -1) -> EquityView:
        return board.equity(sources, after=after, revision=revision)

    @api.get("/health", summary="Services, lease, reconciliation, halts")
    async def health() -> HealthView:
        return board.health(sources)

    @api.get("/failure-points", summary="Every failure point as it stands, and what stands between now and GREEN")
    async def failure_points() -> FailurePointsView:
        return points.view(context.failure_points())

    @api.get("/doctor", summary="Every service's own look at its edges, as it is known")
    async def doctor() -> DoctorView:
        return doctors.view(context.clinic)

    @api.post("/doctor", summary="Have every service examine its edges now", status_code=202)
    async def examine(person: Asker) -> DoctorView:
        await doctors.ask(context.clinic, operations, person)
        return doctors.view(context.clinic)

    @api.get("/halts", summary="Halts in force")
    async def halts() -> list[HaltView]:
        return board.halts(sources)

    @api.delete("/halts/{halt_id:path}", summary="Clear a halt; the answer lists those that stay")
    async def clear(halt_id: str, body: Note, person: Asker) -> list[HaltView]:
        return await operations.clear(person, halt_id, body.note)

    @api.post("/claims", summary="Take over what the broker holds and the ledger does not know", responses=REFUSED)
    async def claim(body: ClaimRequest, person: Asker) -> ClaimView:
        act = context.claims.show if body.dry_run else context.claims.claim
        return await act(person, body.symbol, body.strategy, body.note)

    @api.get("/strategies", summary="Every strategy: does it run, what it holds, what it has under way")
    async def list_strategies() -> list[StrategyView]:
        return strategies.views(sources)

    @api.get("/strategies/{name}", summary="One of them", responses=UNKNOWN)
    async def strategy(name: str) -> StrategyView:
        return strategies.view(sources, name)

    @api.post(
        "/strategies/{name}/stop", summary="Stop it: no new entries, its stops and sales go on", responses=UNKNOWN
    )
    async def stop(name: str, body: Note, person: Asker) -> StrategyView:
        return await context.strategies.stop(person, name, body.note)

    @api.post("/strategies/{name}/start", summary="Start it again", responses=UNKNOWN | REFUSED)
    async def start(name: str, body: Note, person: Asker) -> StrategyView:
        return await context.strategies.start(person, name, body.note)

    @api.get("/broker-connection", summary="Does the broker take the credentials, and what to do where not")
    async def connection() -> ConnectionView:
        return strategies.connection(sources)

    @api.post(
        "/broker-connection",
        summary="Verify the present credentials and reconnect; starts no strategy",
        responses=REFUSED,
    )
    async def reconnect(body: Note, person: Asker) -> ConnectionView:
        return await context.reconnection.reconnect(person, body.note)

    @api.get("/reconciliation", summary="The newest verdict")
    async def reconciliation() -> ReconciliationView:
        return board.health(sources).reconciliation

    @api.get("/kill-switch", summary="Is the kill switch engaged")
    async def kill_switch() -> KillSwitchView:
        return board.kill_switch(sources)

    @api.post("/kill-switch", summary="Engage the kill switch: no new entries, stops stay")
    async def engage(body: EngageRequest, person: Asker) -> KillSwitchView:
        return await operations.engage(person, body.reason)

    @api.delete("/kill-switch", summary="Lift the kill switch", responses={409: {"model": Problem}})
    async def lift(body: Note, person: Asker) -> KillSwitchView:
        return await operations.lift(person, body.note)

    @api.get("/audit", summary="Actions of people, newest first")
    async def audited(limit: Limit = DEFAULT_ROWS) -> list[AuditEntry]:
        return audit.newest(limit)

    return api
