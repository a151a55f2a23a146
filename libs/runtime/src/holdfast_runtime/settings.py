"""The whole configuration in one typed tree: file first, environment over it (CQ-4, FP-5.1, FP-5.2, CF-1 … CF-3).

Unknown keys and values outside their range refuse to start, with the key, the value and the range.
`docs/configuration.md` is generated from here.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from holdfast_core.ids import TRIAL
from holdfast_runtime.rebalance_settings import RebalanceSettings
from holdfast_runtime.schedule_settings import ScheduleSettings
from holdfast_runtime.section import Section

Fraction = Annotated[Decimal, Field(ge=0, le=1)]
Secs = Annotated[float, Field(gt=0, le=86_400)]
Money = Annotated[Decimal, Field(ge=0)]


class VenueKind(StrEnum):
    """Which venue the stack trades on."""

    PAPERMARKET = "papermarket"
    ALPACA = "alpaca"


class Book(StrEnum):
    """What a strategy trades: it selects session, calendar, order types and fees."""

    EQUITY = "equity"
    CRYPTO = "crypto"


class AccountSettings(Section):
    """The one broker account of this stack."""

    id: str = Field(default="paper", pattern=r"^[a-z0-9-]{1,32}$", description="Name of the account in the ledger.")
    live: bool = Field(default=False, description="True allows a live account, together with `--live`.")


class VenueSettings(Section):
    """Where orders go and market data comes from."""

    kind: VenueKind = Field(default=VenueKind.PAPERMARKET, description="papermarket or alpaca.")
    trading_url: str = Field(default="", description="Base of the trading REST; empty: the venue's own.")
    trading_stream_url: str = Field(default="", description="Trade-updates stream; empty: the venue's own.")
    data_url: str = Field(default="", description="Base of the market-data REST; empty: the venue's own.")
    data_stream_url: str = Field(default="", description="Market-data stream of equities; empty: the venue's own.")
    crypto_stream_url: str = Field(default="", description="Market-data stream of pairs; empty: the venue's own.")
    timeout_secs: Secs = Field(default=2.0, description="Bound of one broker request (SQ-1).")
    requests_per_minute: int = Field(default=180, ge=1, le=200, description="Below the venue's 200.")
    mute_after_secs: Secs = Field(default=30.0, description="A stream without a frame for so long is mute: rebuilt.")


def _moment(text: str) -> str:
    """A day, or an aware instant; empty means: not given."""
    if text and _spelled(text) is None:
        raise ValueError("allowed: a day (2013-10-07), or an instant with its time zone (2013-10-07T13:30:00Z)")
    return text


def _spelled(text: str) -> date | datetime | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None


Moment = Annotated[str, AfterValidator(_moment)]


class VenueAccountSettings(Section):
    """How the account is set up that papermarket opens. Its owner's configuration can be changed over its API."""

    margin_multiplier: Literal[1, 2, 4] = Field(
        default=1, description="Buying power: 1 cash, 2 Regulation T, 4 a day trader's."
    )
    short_sales: bool = Field(default=False, description="True: no_shorting is off. Needs a multiplier of 2 or 4.")
    settlement_days: int = Field(default=1, ge=0, le=5, description="Sessions until a sale's proceeds are settled.")
    spend_unsettled: bool = Field(
        default=True, description="False: an account of multiplier 1 buys with settled cash only."
    )
    commission_per_share: Annotated[Decimal, Field(ge=0, le=10)] = Field(
        default=Decimal(0), description="Dollars for each share of an equity."
    )
    commission_per_order: Annotated[Decimal, Field(ge=0, le=1000)] = Field(
        default=Decimal(0), description="Dollars for each equity order that fills."
    )
    crypto_fees: bool = Field(default=True, description="Alpaca's fees by volume, taken of what is received.")


AssetSize = Annotated[Decimal, Field(gt=0, le=1_000_000)]


class AssetSettings(Section):
    """What is different about one symbol at papermarket. What is not given is as its asset class has it."""

    tradable: bool | None = Field(default=None, description="False: every order is refused.")
    fractionable: bool | None = Field(default=None, description="False: whole shares only, no orders in dollars.")
    marginable: bool | None = Field(default=None, description="False: it is no collateral for margin.")
    shortable: bool | None = Field(default=None, description="False: it cannot be sold short.")
    easy_to_borrow: bool | None = Field(default=None, description="False: a short sale is refused as well.")
    min_order_size: AssetSize | None = Field(default=None, description="Smallest quantity of an order.")
    min_trade_increment: AssetSize | None = Field(default=None, description="Quantities are multiples of it.")
    price_increment: AssetSize | None = Field(default=None, description="Prices are multiples of it, in dollars.")


class ReplaySettings(Section):
    """What papermarket replays, and how fast."""

    recording: Path | None = Field(default=None, description="Folder of Parquet files; empty: the default recording.")
    symbols: tuple[str, ...] = Field(default=(), description="Narrows the recording; empty: all of its symbols.")
    start: Moment = Field(
        default="", description="First day or instant (ISO 8601); empty: the recording's first session."
    )
    end: Moment = Field(default="", description="Last day or instant (ISO 8601); empty: the recording's end.")
    speed: float = Field(default=60.0, ge=0, le=100_000, description="Market seconds per wall second; 0 is lock-step.")
    starting_cash: Money = Field(default=Decimal(100_000), description="Cash of the fresh account, in dollars.")
    slippage_bps: Annotated[Decimal, Field(ge=0, le=100)] = Field(
        default=Decimal(1), description="Added to what the recording says, against the order."
    )
    volume_share: Annotated[Decimal, Field(gt=0, le=1)] = Field(
        default=Decimal(1), description="Part of a bar's volume that the account's orders may take."
    )
    pending_secs: Annotated[Decimal, Field(ge=0, le=600)] = Field(
        default=Decimal(0),
        description="Market seconds for which a new order, a cancel and a replacement are pending; 0: none is.",
    )
    account: VenueAccountSettings = VenueAccountSettings()
    assets: dict[str, AssetSettings] = Field(
        default_factory=dict, description="By recorded symbol: what is different about it."
    )
    seed: int = Field(default=1, ge=0, le=2**31, description="Of generated options flow and derivatives intelligence.")
    stream_symbols: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Symbols of trades, quotes and order books on one data stream (Alpaca's free plan: 30); 0: any.",
    )
    faults: Path | None = Field(default=None, description="File with a plan of faults (docs/faults.md); empty: none.")
    roster: tuple[str, ...] = Field(
        default=("signal", "scoring", "gate", "execution", "reconciliation"),
        description="Services that must settle each tick.",
    )

    @field_validator("assets")
    @classmethod
    def _symbols_in_capitals(cls, given: dict[str, AssetSettings]) -> dict[str, AssetSettings]:
        # Names of environment variables arrive in small letters.
        found = {symbol.upper(): each for symbol, each in given.items()}
        if len(found) < len(given):
            raise ValueError("every symbol stands once, whether in capitals or not")
        return found

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> Self:
        start, end = _spelled(self.start), _spelled(self.end)
        # A day and an instant are compared by the venue, which knows the sessions.
        if start is not None and end is not None and type(start) is type(end) and start > end:
            raise ValueError(f"the replay would end, {self.end}, before it starts, {self.start}")
        return self


class StrategySettings(Section):
    """One strategy of a book."""

    id: str = Field(pattern=r"^[a-z0-9-]{1,32}$", description="Name; part of every id it gives.")
    kind: str = Field(description="Entry-point name of the strategy class (group holdfast.strategies).")
    book: str = Field(
        default="equity", pattern=r"^(equity|crypto)$", description="US equities, or crypto pairs round the clock."
    )
    symbols: tuple[str, ...] = Field(min_length=1, description="Symbols it may trade: IBM, or a pair as BTC/USD.")
    allocation: Money = Field(default=Decimal(10_000), description="Dollars a target weight of 1 stands for.")
    stop_fraction: Annotated[Decimal, Field(gt=0, lt=1)] = Field(
        default=Decimal("0.05"), description="Distance of the protective stop below the entry."
    )
    enabled: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict, description="Checked by the strategy class itself.")
    schedule: ScheduleSettings | None = Field(default=None, description="Times at which it buys and sells.")
    rebalance: RebalanceSettings | None = Field(default=None, description="Its target weights are kept, by sales too.")

    @model_validator(mode="after")
    def _trades_what_its_book_holds(self) -> Self:
        pairs = self.book == Book.CRYPTO
        if wrong := [symbol for symbol in self.symbols if ("/" in symbol) != pairs]:
            allowed = "pairs with a slash (BTC/USD)" if pairs else "symbols without a slash (IBM)"
            raise ValueError(f"strategy {self.id}: {', '.join(wrong)} is not of the {self.book} book: it has {allowed}")
        if pairs and self.rebalance is not None:
            raise ValueError(f"strategy {self.id}: rebalance is not allowed in the crypto book; allowed: equity")
        return self

    @model_validator(mode="after")
    def _follows_its_schedule(self) -> Self:
        if self.schedule is not None and (fault := self.schedule.fault(self.book)):
            raise ValueError(f"strategy {self.id}: {fault}")
        return self


class FeedSettings(Section):
    """Freshness of market data."""

    quote_stale_secs: Secs = Field(default=5.0, description="Market time after which a quote is stale.")
    bar_grace_secs: Secs = Field(default=5.0, description="A bar is stale after its interval and this much.")
    max_bar_move: Annotated[Decimal, Field(gt=1, le=100)] = Field(
        default=Decimal(5), description="A price that differs from the last by this factor is quarantined (BS-8)."
    )
    warmup_daily_bars: int = Field(default=260, ge=1, le=2_000)
    warmup_minute_bars: int = Field(default=390, ge=1, le=10_000)


class GateSettings(Section):
    """Limits that gates explain and execution enforces (order protocol, controls)."""

    max_positions: int = Field(default=16, ge=1, le=10_000, description="Open positions and entries (FP-3.2).")
    max_new_per_cycle: int = Field(default=6, ge=1, le=256, description="Entries of one cycle (FP-3.3).")
    cooldown_secs: Annotated[float, Field(ge=0, le=86_400)] = Field(default=900.0, description="Per symbol (FP-3.7).")
    collar: Annotated[Decimal, Field(gt=0, le=1)] = Field(default=Decimal("0.02"), description="Around a fresh price.")
    max_order_notional: Money = Field(default=Decimal(15_000))
    max_symbol_notional: Money = Field(default=Decimal(15_000))
    buying_power_fraction: Fraction = Field(default=Decimal("0.8"), description="Of equity, net of open orders (BR-7).")
    max_gross_exposure: Annotated[Decimal, Field(gt=0, le=4)] = Field(default=Decimal(1), description="Times equity.")
    max_entries_per_symbol_day: int = Field(default=10, ge=1, le=1_000, description="Repeated execution throttle.")
    entries_per_minute: int = Field(default=60, ge=1, le=200, description="Per account.")
    entry_threshold: Annotated[float, Field(ge=0, le=5)] = Field(default=2.0, description="Composite score (FP-3.8).")
    min_order_notional: Money = Field(default=Decimal(1))
    crypto_fee_bps: Annotated[Decimal, Field(ge=0, le=1_000)] = Field(
        default=Decimal(25), description="Kept free beside the cost of a crypto entry: the venue's taker fee."
    )


class ExecutionSettings(Section):
    """The ledger and the broker session."""

    ledger_url: str = Field(
        default="",
        description="SQLAlchemy URL; the secret LEDGER_URL goes before it. `secret`: only that will do. "
        "Empty: SQLite in the state folder.",
    )
    lease_takeover_secs: Secs = Field(default=3.0, description="A beat unchanged for so long is taken over (SQ-5).")
    lease_beat_secs: Secs = Field(default=0.5)
    last_write_margin_secs: Secs = Field(default=2.0, description="No socket write later than this after a beat.")
    max_retries: int = Field(default=3, ge=0, le=3, description="After the first send (SQ-1).")
    lookup_backoff_secs: Secs = Field(default=0.25, description="First wait before a look-up; doubles.")
    tombstone_after_secs: Secs = Field(default=60.0)
    partial_entry_secs: Secs = Field(default=2.0, description="A partial entry older than this is cut and protected.")
    protection_bound_secs: Secs = Field(default=5.0, description="Every held quantity has an active stop within this.")
    verdict_max_age_secs: Secs = Field(default=90.0, description="Entries need a clean verdict younger than this.")
    stop_sweep_before_close_secs: Secs = Field(default=600.0)
    stop_limit_slack: Annotated[Decimal, Field(gt=0, lt=1)] = Field(
        default=Decimal("0.01"),
        description="How far below its stop a crypto position's stop-limit still sells; beyond it the monitor does.",
    )


class ReconciliationSettings(Section):
    """How often the ledger is compared with the broker, in market time."""

    interval_secs: Secs = Field(default=30.0, description="In session.")
    closed_interval_secs: Secs = Field(default=900.0, description="Out of session.")


class AdminSettings(Section):
    """Dashboard and JSON API."""

    host: str = "127.0.0.1"
    port: int = Field(default=8800, ge=0, le=65_535, description="0 takes a free one.")


class BusSettings(Section):
    """NATS."""

    url: str = Field(
        default="",
        description="nats:// addresses, or tls:// ones for mutual TLS with the service's own certificate, TLS before "
        "anything else (`handshake_first`). Empty: a nats-server child of `holdfast up`.",
    )
    replicas: Literal[1, 3] = Field(default=1, description="Copies of every stream: 3 in a cluster of three servers.")

    @property
    def encrypted(self) -> bool:
        """True where the bus is reached over TLS."""
        return self.url.startswith("tls://")

    @field_validator("url")
    @classmethod
    def _all_encrypted_or_none(cls, given: str) -> str:
        if len({each.strip().startswith("tls://") for each in given.split(",")}) > 1:
            raise ValueError("every address is tls://, or none is")
        return given


class AlertSettings(Section):
    """Who is told from outside that all is well, and so notices when nobody is (IN-3)."""

    heartbeat_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Asked every minute while nothing blocks trading: a dead man's switch. Empty: none.",
    )
    rules: bool = Field(
        default=False, description="True: rules of a Prometheus watch this stack (deploy/observability/alerts.yaml)."
    )


class TelemetrySettings(Section):
    """Traces, metrics and logs."""

    otlp_endpoint: str = Field(default="", description="OTLP/HTTP collector; empty: the local OTLP/JSON file only.")
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    max_file_bytes: int = Field(default=50_000_000, ge=1_000_000, description="Each log or trace file, then rotated.")


class Settings(Section):
    """Everything."""

    state_dir: Path = Field(default=Path(".holdfast"), description="Ledger, bus, logs, traces and certificates.")
    account: AccountSettings = AccountSettings()
    venue: VenueSettings = VenueSettings()
    replay: ReplaySettings = ReplaySettings()
    books: tuple[Book, ...] = Field(
        default=(), description="Books that are traded; empty: those of the enabled strategies."
    )
    strategies: tuple[StrategySettings, ...] = ()
    feed: FeedSettings = FeedSettings()
    gate: GateSettings = GateSettings()
    execution: ExecutionSettings = ExecutionSettings()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    admin: AdminSettings = AdminSettings()
    bus: BusSettings = BusSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    alerts: AlertSettings = AlertSettings()
    endpoints: dict[str, str] = Field(
        default_factory=dict,
        description="host:port under which others reach `<service>`, `<service>.health`, `<service>.metrics`, "
        "`papermarket.http`.",
    )
    listen: dict[str, str] = Field(
        default_factory=dict,
        description="host:port that one of `endpoints` is served on where it is not the same: 0.0.0.0:8443 in a pod.",
    )

    @field_validator("strategies")
    @classmethod
    def _one_strategy_an_id(cls, given: tuple[StrategySettings, ...]) -> tuple[StrategySettings, ...]:
        ids = [each.id for each in given]
        if twice := sorted({each for each in ids if ids.count(each) > 1}):
            raise ValueError(f"every strategy has an id of its own; given twice: {', '.join(twice)}")
        if TRIAL in ids:
            raise ValueError(f"{TRIAL!r} names the signals of `holdfast test`, which never trade: give another id")
        return given

    @field_validator("strategies")
    @classmethod
    def _times_are_meant_for_the_account(
        cls, given: tuple[StrategySettings, ...], info: ValidationInfo
    ) -> tuple[StrategySettings, ...]:
        account = info.data.get("account", AccountSettings())
        timed = [each for each in given if each.enabled and each.schedule is not None and each.schedule.mode == "paper"]
        if account.live and timed:
            names = ", ".join(each.id for each in timed)
            raise ValueError(f"{names}: schedule.mode: paper is not allowed; allowed: live, since account.live is true")
        return given

    @field_validator("books")
    @classmethod
    def _each_book_once(cls, given: tuple[Book, ...]) -> tuple[Book, ...]:
        # In one order, so that `crypto,equity` is the same run as `equity,crypto`.
        return tuple(book for book in Book if book in given)

    def listens_on(self, name: str) -> str | None:
        """host:port on which `name` (a key of `endpoints`) is served; None where neither map has it."""
        return self.listen.get(name) or self.endpoints.get(name)

    @property
    def in_lockstep(self) -> bool:
        """True for a replay that runs as fast as the system, and repeats."""
        return self.venue.kind is VenueKind.PAPERMARKET and self.replay.speed == 0

    @property
    def active_books(self) -> tuple[Book, ...]:
        """The books of this run, in their order; equity where neither `books` nor a strategy names one."""
        named = self.books or tuple(Book(each.book) for each in self.strategies if each.enabled)
        return tuple(book for book in Book if book in named) or (Book.EQUITY,)

    @property
    def traded(self) -> tuple[StrategySettings, ...]:
        """The strategies of the active books, disabled ones too."""
        return tuple(each for each in self.strategies if each.book in self.active_books)
