"""How a venue is opened: exchange and account as the settings say, and what makes a run the same run."""

import hashlib
import json
from collections.abc import Collection, Sequence

from holdfast_exchange.account import AccountConfig
from holdfast_exchange.config import ExchangeConfig
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.fees import CRYPTO_TIERS, FeeSchedule
from holdfast_exchange.replay import Replay
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.settings import ReplaySettings, VenueAccountSettings

SHAPING = frozenset(
    {"symbols", "starting_cash", "slippage_bps", "volume_share", "pending_secs", "account", "assets", "seed"}
)
"""Settings of a replay that its outcome depends on; the recording counts with its content."""


def exchange_config(settings: ReplaySettings, symbols: Collection[str]) -> ExchangeConfig:
    """The exchange over a recording of `symbols`. Raises AskPerson where an asset is set that is not recorded."""
    if strangers := sorted(set(settings.assets) - set(symbols)):
        raise AskPerson(
            f"replay.assets.{strangers[0]}: not recorded; allowed: {', '.join(sorted(symbols))}",
            steps=("Correct replay.assets in the configuration, or replay a recording of that symbol.",),
        )
    return ExchangeConfig(
        starting_cash=settings.starting_cash,
        slippage_bps=settings.slippage_bps,
        volume_share=settings.volume_share,
        pending_secs=settings.pending_secs,
        assets={symbol: each.model_dump(exclude_none=True) for symbol, each in settings.assets.items()},
        account=_account_of(settings.account),
    )


def begun_with(
    run_id: str, settings: ReplaySettings, replay: Replay, *, books: Sequence[str], recorded: str
) -> dict[str, str]:
    """What must be the same for a journal to be gone on with. `recorded`: the digest of the recording's files."""
    told = settings.model_dump(mode="json", include=set(SHAPING))
    told |= {"begin": replay.begin.isoformat(), "end": replay.end.isoformat()}
    told |= {"books": [str(book) for book in books], "recorded": recorded}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return {"run_id": run_id, "settings": digest[:16]}


def _account_of(settings: VenueAccountSettings) -> AccountConfig:
    fees = FeeSchedule(
        per_share=settings.commission_per_share,
        per_order=settings.commission_per_order,
        crypto_tiers=CRYPTO_TIERS if settings.crypto_fees else (),
    )
    return AccountConfig(
        multiplier=settings.margin_multiplier,
        settlement_days=settings.settlement_days,
        spend_unsettled=settings.spend_unsettled,
        fees=fees,
        configuration=Configuration(no_shorting=not settings.short_sales),
    )
