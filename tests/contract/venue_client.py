"""What both adapter suites stand on: keys as secrets, the venue's time as market time, its addresses as settings."""

from dataclasses import dataclass
from datetime import datetime

from holdfast_papermarket.embedded import Embedded
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.settings import Settings

PATIENCE_SECS = 20.0
"""A machine that is busy with other things is not what these tests are about."""

clock = SystemMonotonicClock()


class Shown:
    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value


@dataclass
class KeysAsSecrets:
    key: str
    secret: str

    def get(self, name: str) -> Shown:
        return Shown(self.key if name.endswith("API_KEY") else self.secret)

    def refresh(self) -> None:
        return


class VenueTime:
    """Market time as the venue has it."""

    def __init__(self, market: Embedded) -> None:
        self._market = market

    def now(self) -> datetime:
        return self._market.venue.exchange.now

    async def sleep_until(self, instant: datetime) -> None:
        raise NotImplementedError


def settings_of(market: Embedded, **venue: object) -> Settings:
    """`venue`: further settings of that section."""
    addresses = {
        "trading_url": market.url,
        "data_url": market.url,
        "trading_stream_url": market.trading_stream_url,
        "data_stream_url": market.data_stream_url,
        "crypto_stream_url": market.crypto_stream_url,
    }
    patient: dict[str, object] = {"timeout_secs": PATIENCE_SECS}
    return Settings.model_validate({"venue": addresses | patient | venue, "replay": {"speed": 0}})
