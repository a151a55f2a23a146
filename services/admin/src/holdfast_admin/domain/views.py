"""What the JSON API answers and the pages show: typed, amounts as decimal strings, instants in ISO 8601 UTC."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

Amount = Annotated[
    Decimal,
    PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json"),
]
"""An exact number; a string in JSON, without an exponent."""


class View(BaseModel):
    """One answer."""

    model_config = ConfigDict(frozen=True)


class Light(StrEnum):
    """Is it safe to trade now."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"


class Reason(View):
    """One thing that stands between now and GREEN."""

    light: Light
    code: str
    text: str
    detail: str = ""


class Notice(View):
    """Something on the page is not as new as it should be; says what, and since when."""

    text: str
    detail: str = ""


class MarketTime(View):
    """Where the market is in its day."""

    now: datetime | None
    is_open: bool
    next_change: datetime | None = Field(description="The close while open, else the next open.")


class KillSwitchView(View):
    """`engaged`: no new entries. `confirmed`: execution knows of it."""

    engaged: bool
    confirmed: bool = True
    halt_ids: list[str] = []
    reason: str = ""
    set_by: str = ""
    since: datetime | None = None


class AccountView(View):
    """Money in dollars. Equity = cash + what is held at its newest price."""

    account_id: str
    equity: Amount
    cash: Amount
    starting_cash: Amount
    reserved: Amount
    realised_pnl: Amount
    unrealised_pnl: Amount
    total_pnl: Amount
    total_return: Amount = Field(description="Fraction of the starting cash.")
    day_pnl: Amount | None = Field(description="Since the last point of the curve before this session.")
    exposure: Amount = Field(description="Gross: what is held, at its newest price.")
    exposure_fraction: Amount = Field(description="Of equity.")


class StatusView(View):
    """The trading status, with its reasons, and how new all this is."""

    light: Light
    reasons: list[Reason]
    notices: list[Notice]
    market: MarketTime
    as_of: datetime | None = Field(description="Market time of the newest fact applied.")
    kill_switch: KillSwitchView
    account: AccountView | None
    decisions_allowed: int
    decisions_blocked: int


class PositionView(View):
    """What is held of one symbol, and what protects it."""

    symbol: str
    strategy: str
    book: str = Field(description="equity or crypto.")
    quantity: Amount
    average_price: Amount
    price: Amount | None = Field(description="Close of the newest bar.")
    price_time: datetime | None
    price_live: bool = Field(description="False while the feed is away: the price is the last known one.")
    market_value: Amount
    unrealised_pnl: Amount
    unrealised_fraction: Amount
    realised_pnl: Amount
    protection: str = Field(description="none, pending or active.")
    stop_price: Amount | None
    stop_quantity: Amount
    stop_distance: Amount | None = Field(description="Fraction of the price down to the stop.")
    exit_owner: str = Field(description="stop, exit, monitor or flatten; empty: nobody.")
    opened_at: datetime | None


class OrderView(View):
    """An intent: one wish, at most one live broker order."""

    intent_id: str
    signal_id: str
    strategy: str
    symbol: str
    side: str
    purpose: str
    state: str
    is_open: bool
    order_type: str
    time_in_force: str
    quantity: Amount
    filled_quantity: Amount
    filled_average_price: Amount | None
    limit_price: Amount | None
    stop_price: Amount | None
    attempts: int
    reason: str
    client_order_id: str
    broker_order_id: str
    created_at: datetime | None
    updated_at: datetime | None


class FillView(View):
    """One execution at the broker."""

    fill_id: str
    intent_id: str
    symbol: str
    strategy: str
    side: str
    quantity: Amount
    price: Amount
    value: Amount
    realised_pnl: Amount
    filled_at: datetime


class VerdictView(View):
    """What one gate said."""

    gate: str
    outcome: str = Field(description="pass, block or shrink.")
    reason: str
    message: str
    numbers: dict[str, str]


class DecisionView(View):
    """What was decided about one signal, and why."""

    signal_id: str
    cycle_id: str
    strategy: str
    symbol: str
    direction: str
    allowed: bool
    reason: str
    in_words: str
    numbers: dict[str, str] = Field(description="The numbers behind the block.")
    verdicts: list[VerdictView]
    score: float | None
    quantity: Amount | None
    reference_price: Amount | None
    limit_price: Amount | None
    stop_price: Amount | None
    market_time: datetime


class EquityPoint(View):
    """Equity at the end of one minute of market time."""

    at: int = Field(description="End of the minute, seconds since 1970.")
    equity: Amount


class EquityView(View):
    """`revision` grows when older points have changed: then draw anew from `points` asked with after=0."""

    revision: int
    baseline: Amount | None = Field(description="Starting cash.")
    points: list[EquityPoint]


class ServiceView(View):
    """One process: alive (it makes progress), ready (it can answer for its own state)."""

    name: str
    title: str
    alive: bool | None = Field(description="Null: not asked yet.")
    ready: bool | None
    since: datetime | None = Field(description="Wall time of the last change.")
    detail: str = ""


class LeaseView(View):
    """Who may write to the broker's account."""

    holder: str
    epoch: int
    is_holder: bool = Field(description="Whether the execution process that answered holds the lease.")
    entries_locked_reason: str


class DiscrepancyView(View):
    """One difference between ledger and broker, and what is done about it."""

    kind: str
    symbol: str
    subject: str
    ledger_value: str
    broker_value: str
    action: str


class ReconciliationView(View):
    """The newest comparison of ledger and broker."""

    state: str = Field(description="clean, discrepant, unavailable, or unknown where there was none yet.")
    market_time: datetime | None
    discrepancies: list[DiscrepancyView]


class PointView(View):
    """One failure point of one service, as its sentinel last told it."""

    id: str
    service: str
    title: str
    severity: str = Field(description="critical, high or low.")
    priority: str = Field(description="In the words of the source documents.")
    covers: list[str] = Field(description="Requirement ids.")
    status: str = Field(description="ok, warn, error or unknown.")
    light: Light = Field(description="What this point makes of the trading status.")
    since: datetime | None = Field(description="Wall time of the last change of status.")
    last_check: datetime | None = Field(description="Wall time.")
    evidence: str
    attempts: int = Field(description="Healing attempts of the present incident.")
    heals: int = Field(description="Incidents that ended without a person, since its process began.")
    detector: str
    healer: str
    why_no_healer: str
    manual_steps: list[str]
    shown: dict[str, str]
    intentional: bool


class ServicePointsView(View):
    """One service and its failure points."""

    service: str
    points: list[PointView]


class CheckView(BaseModel):
    """What a process found at one of its edges."""

    check: str
    verdict: str = Field(description="ok, warn, red or unknown.")
    evidence: str
    steps: list[str] = Field(description="What to do about it.")


class ExaminationView(BaseModel):
    """One process's newest look at its edges, the gravest first."""

    service: str
    instance: str
    trigger: str = Field(description="Why it was made: start, before the open, on demand, again until all is OK.")
    finished_at: datetime | None = Field(description="None while it is being examined.")
    verdict: str = Field(description="The gravest of its checks; unknown while it is being examined.")
    checks: list[CheckView]


class DoctorView(BaseModel):
    """Every process's look at its own edges."""

    verdict: str = Field(description="The gravest of all.")
    complete: bool = Field(description="False while a request is being answered.")
    examinations: list[ExaminationView]


class FailurePointsView(View):
    """Every failure point. `light` follows from them alone."""

    light: Light
    open: list[PointView] = Field(description="What stands between now and GREEN, the gravest first.")
    services: list[ServicePointsView]


class HaltView(View):
    """A reason not to enter: for everything, or for one symbol or strategy."""

    halt_id: str
    kind: str
    symbol: str
    strategy: str
    reason: str
    set_by: str
    since: datetime | None
    confirmed: bool = Field(default=True, description="Execution knows of it.")


class ClaimView(View):
    """What a person's claim of a position booked, or would book."""

    adjustment_id: str = Field(description="Empty where nothing was booked.")
    symbol: str
    strategy: str = Field(description="Who owns it from here on.")
    ledger_quantity: Amount = Field(description="Until the claim; after it the ledger holds what the broker holds.")
    broker_quantity: Amount
    quantity: Amount = Field(description="What differed, signed.")
    price: Amount = Field(description="What one unit of it is valued at.")
    cash: Amount = Field(description="Dollars that came with it, signed.")
    description: str


class StrategyView(View):
    """One strategy: whether it runs and why not, what it holds, and what it has under way."""

    strategy: str
    state: str = Field(description="running, stopped or failed.")
    reason: str = Field(description="Why it does not run; of a started one the words it was started with.")
    set_by: str = Field(description="Empty: it has run from the beginning.")
    since: datetime | None = Field(description="Market time of the last stop or start.")
    trade_state: str = Field(description="none, bought, sold or exited_by_sl.")
    positions: list[PositionView]
    open_orders: list[OrderView]
    halts: list[HaltView]


class ConnectionView(View):
    """The connection to the broker: expired from the refusal of its credentials until a person reconnects it."""

    expired: bool
    text: str
    reason: str = ""
    since: datetime | None = None
    what_to_do: list[str] = []
    halt_ids: list[str] = []


class HealthView(View):
    """What answers, who holds the account, and whether ledger and broker agree."""

    services: list[ServiceView]
    lease: LeaseView | None
    reconciliation: ReconciliationView
    halts: list[HaltView]


class AuditEntry(View):
    """One action of a person: who, when, what, with what result."""

    at: datetime = Field(description="Wall time.")
    who: str
    via: str = Field(description="page or api.")
    remote: str
    action: str
    what: str
    result: str = Field(description="ok, refused or failed.")
    detail: str = ""
    market_time: datetime | None = None


class RecordView(View):
    """One event of the ledger, in words."""

    event_id: int
    kind: str
    summary: str
    recorded_at: datetime
