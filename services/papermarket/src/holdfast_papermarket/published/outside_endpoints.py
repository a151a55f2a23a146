"""papermarket's endpoints that are not Alpaca's: see docs/papermarket.md, docs/faults.md, docs/outside-sources.md."""

from typing import Any, Literal

from holdfast_papermarket.published import outside
from holdfast_papermarket.published.endpoints import Endpoint, Parameter, Paths
from holdfast_papermarket.published.kinds import Count, Day, DecimalText, Text

OWN, FLOW, INTELLIGENCE = "papermarket", "options flow", "derivatives intelligence"
ACCOUNT_KEYS: tuple[str, ...] = ("key", "secret")


def _q(name: str, kind: Any = str, text: str = "", *, required: bool = False) -> Parameter:
    return Parameter(name=name, kind=kind, required=required, text=text)


def _own(
    method: Literal["GET", "POST", "PUT", "DELETE"],
    path: str,
    summary: str,
    answer: Any,
    *,
    refusals: tuple[int, ...] = (),
    body: Any = None,
) -> Endpoint:
    return Endpoint(
        method=method,
        path=f"/papermarket/v1{path}",
        summary=summary,
        answer=answer,
        body=body,
        refusals=refusals,
        common=(),
        keys=ACCOUNT_KEYS if refusals else (),
        tag=OWN,
    )


_PLAN: Any = dict[str, Any]
PAPERMARKET = (
    _own("GET", "/status", "Where the replay stands and what it waits for", outside.Status),
    _own("GET", "/books", "Orders, fills, positions and cash as the venue keeps them", outside.Books),
    _own("GET", "/faults", "The fault plan and its counters", outside.FaultPlanShown, refusals=(401,)),
    _own("PUT", "/faults", "Replace the fault plan", outside.FaultPlanShown, refusals=(400, 401, 422), body=_PLAN),
    _own("POST", "/faults", "Add a fault", outside.FaultPlanShown, refusals=(400, 401, 422), body=_PLAN),
    _own("DELETE", "/faults", "Take every fault away", outside.FaultPlanShown, refusals=(401,)),
    _own("DELETE", "/faults/{fault_id}", "Take a fault away", outside.FaultPlanShown, refusals=(401, 404)),
)


def _bounds(*names: str) -> tuple[Parameter, ...]:
    return tuple(_q(f"{side}_{name}", DecimalText) for name in names for side in ("min", "max"))


_TIMES = (_q("newer_than", Text, "An instant, a day or Unix time."), _q("older_than", Text))
_MARKS = ("is_call", "is_put", "is_sweep", "is_floor", "is_multi_leg", "is_otm", "is_ask_side", "is_bid_side")
_MORE = ("all_opening", "vol_greater_oi", "size_greater_oi")


def _flow(path: str, summary: str, answer: Any, *query: Parameter) -> Endpoint:
    return Endpoint(
        method="GET",
        path=f"/unusualwhales{path}",
        summary=summary,
        answer=answer,
        query=query,
        refusals=(400, 401, 404, 422, 429),
        refusal=outside.FlowError,
        common=(),
        keys=("flow",),
        tag=FLOW,
    )


UNUSUAL_WHALES = (
    _flow(
        "/api/option-trades/flow-alerts",
        "Large option trades, newest first",
        outside.FlowAlerts,
        _q("ticker_symbol", Text, "`A,B`, or `-A,-B` for all others."),
        _q("limit", Count, "1 to 200, 100 by default."),
        *_bounds("premium", "size", "volume", "open_interest", "volume_oi_ratio", "dte", "diff"),
        *(_q(name, bool) for name in (*_MARKS, *_MORE)),
        _q("rule_name[]", Text),
        *_TIMES,
    ),
    _flow(
        "/api/darkpool/{ticker}",
        "Prints off the exchanges, newest first; `recent` for every ticker",
        outside.DarkPrints,
        _q("limit", Count, "1 to 500, 500 by default."),
        _q("date", Day),
        *_bounds("premium", "size", "volume"),
        *_TIMES,
    ),
)

_COIN = (_q("symbol", Text, "A coin, as BTC.", required=True),)
_PAIR = (_q("exchange", Text, required=True), _q("symbol", Text, "A pair, as BTCUSDT.", required=True))
_SPAN = (
    _q("interval", Text, "1m … 1w.", required=True),
    _q("limit", Count, "1 to 1000, 1000 by default."),
    _q("start_time", Count, "Milliseconds."),
    _q("end_time", Count, "Milliseconds."),
)
_RANGE = (_q("range", Text, "1h … 1y.", required=True),)


def _intelligence(path: str, summary: str, answer: Any, *query: Parameter) -> Endpoint:
    return Endpoint(
        method="GET",
        path=f"/coinglass/api{path}",
        summary=summary,
        answer=answer | outside.IntelligenceRefusal,
        query=query,
        common=(),
        keys=("intelligence",),
        tag=INTELLIGENCE,
    )


_FUTURES = "/futures"
COINGLASS = (
    _intelligence(f"{_FUTURES}/supported-coins", "Coins whose pairs are recorded", outside.Coins),
    _intelligence(f"{_FUTURES}/v2/taker-buy-sell-volume/history", "Taker volume", outside.TakerVolumes, *_PAIR, *_SPAN),
    _intelligence(
        f"{_FUTURES}/aggregated-taker-buy-sell-volume/history",
        "Taker volume of a coin",
        outside.TakerVolumesOfCoin,
        *_COIN,
        *_SPAN,
    ),
    _intelligence(
        f"{_FUTURES}/global-long-short-account-ratio/history",
        "Long and short accounts",
        outside.AccountRatios,
        *_PAIR,
        *_SPAN,
    ),
    _intelligence(
        f"{_FUTURES}/top-long-short-account-ratio/history",
        "Long and short of the largest accounts",
        outside.TopAccountRatios,
        *_PAIR,
        *_SPAN,
    ),
    _intelligence(f"{_FUTURES}/liquidation/history", "Liquidations", outside.LiquidationHistory, *_PAIR, *_SPAN),
    _intelligence(
        f"{_FUTURES}/liquidation/aggregated-history",
        "Liquidations of a coin",
        outside.LiquidationHistoryOfCoin,
        *_COIN,
        *_SPAN,
    ),
    _intelligence(f"{_FUTURES}/cvd/history", "Taker volume and its sum", outside.CvdHistory, *_PAIR, *_SPAN),
    _intelligence(
        f"{_FUTURES}/aggregated-cvd/history",
        "Taker volume of a coin and its sum",
        outside.CvdHistoryOfCoin,
        *_COIN,
        *_SPAN,
    ),
    _intelligence(
        f"{_FUTURES}/taker-buy-sell-volume/exchange-list",
        "Taker volume of the newest range",
        outside.TakerNowAnswer,
        *_COIN,
        *_RANGE,
    ),
    _intelligence(
        f"{_FUTURES}/liquidation/heatmap/model1",
        "What would be liquidated, by time and price",
        outside.HeatmapAnswer,
        *_PAIR,
        *_RANGE,
    ),
    _intelligence(
        f"{_FUTURES}/liquidation/aggregated-heatmap/model1",
        "The same of a coin",
        outside.HeatmapAnswer,
        *_COIN,
        *_RANGE,
    ),
    _intelligence("/hyperliquid/whale-alert", "Large positions opened and closed", outside.WhaleTrades),
)

OUTSIDE: tuple[Endpoint, ...] = (*PAPERMARKET, *UNUSUAL_WHALES, *COINGLASS)
_PATHS = Paths(OUTSIDE)


def outside_endpoint_of(method: str, path: str) -> Endpoint | None:
    """The endpoint that a request meant, None where it is Alpaca's or nobody's."""
    return _PATHS.find(method, path)
