"""The venue's whole HTTP face: Alpaca's trading and market data, its streams, and papermarket's own pages."""

from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from holdfast_core.sessions import OutsideCalendar
from holdfast_exchange.history import BarHistory
from holdfast_exchange.orders import Refusal
from holdfast_exchange.recording import Recording
from holdfast_papermarket.api.access import App, Keys, RateLimit, guarded
from holdfast_papermarket.api.account import account_routes
from holdfast_papermarket.api.answers import broken, not_in_calendar, refused, unknown_or_malformed
from holdfast_papermarket.api.crypto import crypto_routes
from holdfast_papermarket.api.data_streams import StreamLimits, data_stream_routes
from holdfast_papermarket.api.docs import docs_routes
from holdfast_papermarket.api.faults import fault_routes
from holdfast_papermarket.api.market import market_routes
from holdfast_papermarket.api.market_rows import MarketRows
from holdfast_papermarket.api.own import own_routes
from holdfast_papermarket.api.positions import position_routes
from holdfast_papermarket.api.references import reference_routes
from holdfast_papermarket.api.sources import OutsideSources
from holdfast_papermarket.api.streams import stream_routes
from holdfast_papermarket.api.trading import trading_routes
from holdfast_papermarket.api.unbroken import Unbroken
from holdfast_papermarket.faults.http import FaultyHttp
from holdfast_papermarket.lockstep import MarketClock
from holdfast_papermarket.venue import PaperVenue


def build_app(
    venue: PaperVenue,
    clock: MarketClock,
    recording: Recording,
    *,
    run_id: str,
    keys: Keys,
    limit: RateLimit,
    streams: StreamLimits | None = None,
    sources: OutsideSources | None = None,
    notes: Sequence[str] = (),
) -> App:
    """An ASGI application over one venue. `notes`: what a person must know of the recording."""
    app = FastAPI(title="papermarket", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(OutsideCalendar, not_in_calendar)
    app.add_exception_handler(Exception, broken)
    for status in (404, 405):
        app.add_exception_handler(status, unknown_or_malformed)
    app.add_exception_handler(RequestValidationError, unknown_or_malformed)
    app.include_router(trading_routes(venue))
    app.include_router(account_routes(venue, venue.replay.begin))
    app.include_router(position_routes(venue))
    app.include_router(reference_routes(venue))
    rows = MarketRows(venue.exchange.market, BarHistory(venue.exchange.market, recording.adjustments))
    app.include_router(market_routes(venue, rows))
    app.include_router(crypto_routes(venue, rows))
    app.include_router(own_routes(venue, clock, recording, run_id, notes))
    app.include_router(fault_routes(venue.faults.desk, keys))
    app.include_router(stream_routes(venue, keys))
    app.include_router(data_stream_routes(venue, keys, streams or StreamLimits()))
    app.include_router(docs_routes(app))
    if sources is not None:
        sources.serve(app, venue.exchange.market, lambda: venue.market_now())
    faulty = FaultyHttp(guarded(app, keys, limit), venue, sleep=clock.sleep, keys=keys, limit=limit)
    return Unbroken(faulty, venue.count_failed)
