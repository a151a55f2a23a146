"""The fault plan over papermarket's own API: seen, replaced, added to and taken away while the venue runs."""

from typing import Any

from fastapi import APIRouter, Request, Response

from holdfast_exchange.faults.plan import FaultPlan, PlanRefused, fault_from, from_tree
from holdfast_exchange.orders import Refusal
from holdfast_exchange.rules import UNPROCESSABLE
from holdfast_papermarket.api.access import Keys
from holdfast_papermarket.api.answers import answer, read_json
from holdfast_papermarket.faults.desk import FaultDesk

NOT_FOUND, UNAUTHORIZED = 40410000, 40110000


def fault_routes(desk: FaultDesk, keys: Keys) -> APIRouter:
    """Routes under /papermarket/v1/faults. They need the account's own keys."""
    routes = APIRouter(prefix="/papermarket/v1/faults", tags=["papermarket"])

    def check(request: Request) -> None:
        headers = request.headers
        if not keys.match(headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", "")):
            raise Refusal(401, UNAUTHORIZED, "request is not authorized")

    def arm(plan: FaultPlan) -> Response:
        desk.arm(plan)
        return answer(_shown(desk))

    @routes.get("")
    async def get_plan(request: Request) -> Response:
        check(request)
        return answer(_shown(desk))

    @routes.put("")
    async def replace_plan(request: Request) -> Response:
        check(request)
        try:
            return arm(from_tree(await read_json(request)))
        except PlanRefused as error:
            raise _refused(error) from error

    @routes.post("")
    async def add_fault(request: Request) -> Response:
        check(request)
        try:
            fault = fault_from(await read_json(request))
            kept = tuple(each for each in desk.plan.faults if each.id != fault.id)
            return arm(FaultPlan(desk.plan.seed, (*kept, fault)))
        except PlanRefused as error:
            raise _refused(error) from error

    @routes.delete("")
    async def clear_plan(request: Request) -> Response:
        check(request)
        return arm(FaultPlan(desk.plan.seed))

    @routes.delete("/{fault_id}")
    async def remove_fault(fault_id: str, request: Request) -> Response:
        check(request)
        kept = tuple(each for each in desk.plan.faults if each.id != fault_id)
        if len(kept) == len(desk.plan.faults):
            raise Refusal(404, NOT_FOUND, f"fault not found: {fault_id}")
        return arm(FaultPlan(desk.plan.seed, kept))

    return routes


def _refused(error: PlanRefused) -> Refusal:
    return Refusal(422, UNPROCESSABLE, error.problems[0], {"problems": list(error.problems)})


def _shown(desk: FaultDesk) -> dict[str, Any]:
    return desk.plan.as_json() | {"counters": desk.counters()}
