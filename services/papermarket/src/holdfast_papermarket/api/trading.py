"""Alpaca's trading REST: orders."""

from fastapi import APIRouter, Request, Response

from holdfast_exchange.orders import Refusal
from holdfast_papermarket import trading_json
from holdfast_papermarket.api.answers import answer
from holdfast_papermarket.api.order_body import read_object, read_order, read_replacement
from holdfast_papermarket.api.order_queries import OrdersQuery
from holdfast_papermarket.api.positions import cancel_all
from holdfast_papermarket.venue import PaperVenue

NOT_FOUND = 40410000


def trading_routes(venue: PaperVenue) -> APIRouter:
    """Routes of the account's orders."""
    routes = APIRouter(prefix="/v2", tags=["trading"])
    exchange = venue.exchange

    @routes.post("/orders")
    async def submit_order(request: Request) -> Response:
        new = read_order(await read_object(request))
        return answer(trading_json.answered(exchange, venue.submit(new)))

    @routes.get("/orders")
    async def list_orders(request: Request) -> Response:
        asked = OrdersQuery.read(request.query_params)
        return answer([trading_json.order(exchange, each, nested=asked.nested) for each in asked.choose(venue)])

    @routes.delete("/orders")
    async def cancel_orders() -> Response:
        return answer(cancel_all(venue), 207)

    @routes.get("/orders:by_client_order_id")
    async def order_by_client_id(client_order_id: str = "", nested: bool = False) -> Response:
        found = exchange.order_by_client_id(client_order_id)
        if found is None:
            raise Refusal(404, NOT_FOUND, f"order not found for {client_order_id}")
        return answer(trading_json.order(exchange, found, nested=nested))

    @routes.get("/orders/{order_id}")
    async def get_order(order_id: str, nested: bool = False) -> Response:
        return answer(trading_json.order(exchange, exchange.order(order_id), nested=nested))

    @routes.patch("/orders/{order_id}")
    async def replace_order(order_id: str, request: Request) -> Response:
        change = read_replacement(await read_object(request))
        return answer(trading_json.answered(exchange, venue.replace(order_id, change)))

    @routes.delete("/orders/{order_id}")
    async def cancel_order(order_id: str) -> Response:
        venue.cancel(order_id)
        return Response(status_code=204)

    return routes
