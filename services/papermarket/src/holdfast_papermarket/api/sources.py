"""The outside sources beside Alpaca: options flow and derivatives intelligence, on the venue's own port."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import FastAPI

from holdfast_exchange.derivatives import DerivativesTape
from holdfast_exchange.flow_tape import FlowTape
from holdfast_exchange.market import Market
from holdfast_papermarket.api.flow import flow_routes
from holdfast_papermarket.api.intelligence import intelligence_routes


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideSources:
    """`seed` is for everything that is generated; the keys are what clients must show."""

    seed: int
    flow_token: str = field(repr=False)
    intelligence_key: str = field(repr=False)

    def serve(self, app: FastAPI, market: Market, now: Callable[[], datetime]) -> None:
        """Adds their routes to `app`: what they show is of `market` at its present time."""
        app.include_router(flow_routes(FlowTape(market, self.seed), self.flow_token, now))
        app.include_router(intelligence_routes(DerivativesTape(market, self.seed), self.intelligence_key, now))
