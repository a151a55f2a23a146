"""Opens the venue that the configuration names. A live account needs two keys turned: `account.live` and `--live`."""

import os
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from alpaca.common.enums import BaseURL

from holdfast_runtime.errors import AskPerson
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.ports.venue import FeedEvent
from holdfast_runtime.settings import Book, Settings, VenueKind
from holdfast_venue.access import Access, Credentials
from holdfast_venue.broker import AlpacaBroker, live_refused
from holdfast_venue.feed import CRYPTO, STOCKS, AlpacaFeed, DataDialect
from holdfast_venue.http import VenueHttp
from holdfast_venue.limiter import WINDOW_SECS, RateLimiter
from holdfast_venue.streams import Stream
from holdfast_venue.updates import TradeUpdatesDialect

EXAMINER_SHARE = 0.05
"""Of the venue's rate limit, for each of those who look at the broker's edge."""
LIVE_FLAG = "HOLDFAST_LIVE"
"""Set to 1 by `--live`."""
API_KEY, SECRET_KEY = "ALPACA_API_KEY", "ALPACA_SECRET_KEY"
DATA_STREAM = f"{BaseURL.MARKET_DATA_STREAM.value}/v2/iex"
CRYPTO_STREAM = f"{BaseURL.MARKET_DATA_STREAM.value}/v1beta3/crypto/us"


class Secret(Protocol):
    def reveal(self) -> str: ...


class Secrets(Protocol):
    """What is needed of holdfast_runtime.secrets.SecretStore."""

    def get(self, name: str) -> Secret: ...

    def refresh(self) -> object: ...


def open_broker(
    settings: Settings,
    secrets: Secrets,
    *,
    monotonic_clock: MonotonicClock,
    share: float = 1.0,
    seed: int = 0,
    system: str = "broker",
    environ: Mapping[str, str] | None = None,
    access: Access | None = None,
) -> AlpacaBroker:
    """The broker of this stack's account. Raises AskPerson for a live account that was not allowed on both sides.

    `share`: part of the venue's rate limit that this process may use; those of all processes add up to 1.
    `system`: as what it shows itself in metrics and traces. `access`: shared with an earlier client, so that what was
    refused to it is not tried again; default: of its own."""
    live_allowed = _check_live(settings, os.environ if environ is None else environ)
    access = access or access_of(secrets)
    venue = settings.venue
    own = BaseURL.TRADING_LIVE if live_allowed else BaseURL.TRADING_PAPER
    own_stream = BaseURL.TRADING_STREAM_LIVE if live_allowed else BaseURL.TRADING_STREAM_PAPER
    http = VenueHttp(
        base_url=_url(settings, venue.trading_url, own.value, "venue.trading_url"),
        access=access,
        limiter=_limiter(settings, monotonic_clock, share),
        clock=monotonic_clock,
        timeout_secs=venue.timeout_secs,
        system=system,
        use_proxies=_outside(settings),
        heartbeat_path="/clock",
    )
    stream = Stream(
        name="trade_updates",
        url=_url(settings, venue.trading_stream_url, own_stream.value, "venue.trading_stream_url"),
        dialect=TradeUpdatesDialect,
        access=access,
        clock=monotonic_clock,
        chance=random.Random(seed),
        mute_after_secs=venue.mute_after_secs,
        use_proxies=_outside(settings),
    )
    live = False if not _outside(settings) else (None if venue.trading_url else live_allowed)
    return AlpacaBroker(http=http, stream=stream, clock=monotonic_clock, live=live, may_be_live=live_allowed)


def open_feed(
    settings: Settings,
    secrets: Secrets,
    *,
    market_clock: MarketClock,
    monotonic_clock: MonotonicClock,
    book: Book = Book.EQUITY,
    seed: int = 0,
    system: str = "market_data",
    access: Access | None = None,
) -> AlpacaFeed:
    """The market data of a book: the one data connection that an account may have for it, and history."""
    access = access or access_of(secrets)
    venue = settings.venue
    source = CRYPTO if book is Book.CRYPTO else STOCKS
    http = VenueHttp(
        base_url=_url(settings, venue.data_url, BaseURL.DATA.value, "venue.data_url"),
        access=access,
        limiter=_limiter(settings, monotonic_clock, 1.0),
        clock=monotonic_clock,
        timeout_secs=venue.timeout_secs,
        system=system,
        use_proxies=_outside(settings),
        version=source.version,
    )
    if book is Book.CRYPTO:
        url = _url(settings, venue.crypto_stream_url, CRYPTO_STREAM, "venue.crypto_stream_url")
    else:
        url = _url(settings, venue.data_stream_url, DATA_STREAM, "venue.data_stream_url")

    def stream(dialect: Callable[[], DataDialect]) -> Stream[FeedEvent]:
        return Stream(
            name="market_data",
            url=url,
            dialect=dialect,
            access=access,
            clock=monotonic_clock,
            chance=random.Random(seed),
            mute_after_secs=venue.mute_after_secs,
            use_proxies=_outside(settings),
            headers={"Content-Type": "application/msgpack"},
        )

    return AlpacaFeed(http=http, stream=stream, now=market_clock.now, source=source)


@asynccontextmanager
async def broker_to_examine(
    settings: Settings, secrets: Secrets, *, access: Access, monotonic_clock: MonotonicClock
) -> AsyncIterator[AlpacaBroker]:
    """A client for one look: with the keys as they are now, and with a breaker, a limiter and metrics of its own.

    `access` is kept from look to look: keys that were refused are not tried again before they change (invariant 5)."""
    secrets.refresh()
    client = open_broker(
        settings,
        secrets,
        monotonic_clock=monotonic_clock,
        share=EXAMINER_SHARE,
        system="doctor_broker",
        access=access,
    )
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def feed_to_examine(
    settings: Settings,
    secrets: Secrets,
    *,
    access: Access,
    market_clock: MarketClock,
    monotonic_clock: MonotonicClock,
    book: Book,
) -> AsyncIterator[AlpacaFeed]:
    """As `broker_to_examine`, for the history and quotes of a book. No stream is opened."""
    client = open_feed(
        settings,
        secrets,
        market_clock=market_clock,
        monotonic_clock=monotonic_clock,
        book=book,
        system="doctor_data",
        access=access,
    )
    try:
        yield client
    finally:
        await client.close()


def _check_live(settings: Settings, environ: Mapping[str, str]) -> bool:
    """True where a live account is allowed. Raises AskPerson where only one of the two keys is turned."""
    configured, flagged = settings.account.live, environ.get(LIVE_FLAG) == "1"
    if not _outside(settings):
        if flagged:
            raise live_refused("it was started with --live, but venue.kind is papermarket")
        return False
    if configured and not flagged:
        raise live_refused("account.live is true, but it was not started with --live")
    if flagged and not configured:
        raise live_refused("it was started with --live, but account.live is not true")
    return configured


def access_of(secrets: Secrets) -> Access:
    """The account's keys as they are now, and the latch that a refusal closes."""

    def credentials() -> Credentials:
        return Credentials(secrets.get(API_KEY).reveal(), secrets.get(SECRET_KEY).reveal())

    credentials()
    return Access(credentials, secrets.refresh)


def _outside(settings: Settings) -> bool:
    return settings.venue.kind is VenueKind.ALPACA


def _limiter(settings: Settings, clock: MonotonicClock, share: float) -> RateLimiter:
    """papermarket's minute is one of market time; in lock-step nothing may wait."""
    limit = settings.venue.requests_per_minute * share
    if _outside(settings):
        return RateLimiter(limit=limit, clock=clock)
    speed = settings.replay.speed
    if speed == 0:
        return RateLimiter(limit=None, clock=clock)
    return RateLimiter(limit=limit, clock=clock, window_secs=WINDOW_SECS / max(1.0, speed))


def _url(settings: Settings, configured: str, own: str, key: str) -> str:
    if configured:
        return configured
    if _outside(settings):
        return own
    raise AskPerson(f"{key} is empty", steps=(f"Set {key} to papermarket's address, or venue.kind to alpaca.",))
