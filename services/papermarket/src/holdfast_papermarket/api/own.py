"""papermarket's own JSON: the books as the venue keeps them, and what the replay is waiting for."""

from collections.abc import Sequence

from fastapi import APIRouter, Response

from holdfast_exchange.recording import Recording
from holdfast_exchange.recording_told import told
from holdfast_exchange.replay import LEAD
from holdfast_papermarket import account_json, trading_json
from holdfast_papermarket.api.answers import answer
from holdfast_papermarket.lockstep import MarketClock
from holdfast_papermarket.venue import PaperVenue


def own_routes(
    venue: PaperVenue, clock: MarketClock, recording: Recording, run_id: str, notes: Sequence[str] = ()
) -> APIRouter:
    """Routes under /papermarket/v1. They hold no secret and change nothing, so they ask for no key."""
    routes = APIRouter(prefix="/papermarket/v1", tags=["papermarket"])
    replay, market = venue.replay, venue.exchange.market
    found = told(recording, replay)

    @routes.get("/books")
    async def books() -> Response:
        return answer(account_json.books(venue.exchange))

    @routes.get("/status")
    async def status() -> Response:
        done, total = replay.progress(market.released)
        waiting = list(clock.waiting_for())
        return answer(
            {
                "run_id": run_id,
                "tick": venue.exchange.tick,
                "market_time": trading_json.instant(venue.market_now()),
                "pace": "lockstep" if clock.lockstep else "scaled",
                "running": clock.running,
                "ended": venue.ended,
                "settled": not waiting,
                "waiting_for": waiting,
                "failed_requests": venue.failed_requests,
                "data_sent": venue.data_sent,
                "trade_updates_sent": venue.updates.sent,
                "instants_done": done,
                "instants_total": total,
                "recording": found
                | {
                    "from": trading_json.instant(replay.begin + LEAD),
                    "to": trading_json.instant(replay.end),
                    "notes": list(notes),
                },
                "faults": venue.faults.desk.counters(),
            }
        )

    return routes
