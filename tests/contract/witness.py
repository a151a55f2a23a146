"""Holds every answer that a client gets against what Alpaca publishes for it."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from holdfast_papermarket.published.endpoints import Endpoint, endpoint_of
from holdfast_papermarket.published.kinds import Findings, examine
from holdfast_papermarket.published.outside_endpoints import outside_endpoint_of
from holdfast_papermarket.published.trading import ErrorBody

NOT_FOR_ALL = {
    # Alpaca has them for positions in foreign currencies only.
    "Position.avg_entry_swap_rate",
    "Position.prev_swap_rate",
    "Position.swap_rate",
    "Position.usd",
    # Of crypto only.
    "Asset.min_order_size",
    "Asset.min_trade_increment",
    "Asset.price_increment",
    # Of trades that were cancelled or corrected: a recording has none.
    "StockTrade.u",
    # Not in the table of corporate actions.
    "Announcement.expiration_date",
    "ForwardSplit.due_bill_redemption_date",
    "ReverseSplit.new_symbol",
    "NonTradeActivity.cusip",
    # Of dividends, and of what belongs together: a fee has neither.
    "NonTradeActivity.group_id",
    "NonTradeActivity.per_share_amount",
    # Only where the account is older than the window.
    "PortfolioHistory.base_value_asof",
}
"""Optional fields without which an answer is complete, each with its reason."""


@dataclass
class Witness:
    """Sees every answer of the sessions that it follows."""

    faults: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    """Endpoints of which a wanted answer was seen, as `GET /v2/account`."""

    def follow(self, client: Any) -> Any:
        """Listens to one of alpaca-py's clients."""
        client._session.hooks["response"].append(self.take)
        return client

    def take(self, answer: requests.Response, *_arguments: Any, **_named: Any) -> None:
        """One answer; called by requests before the client reads it."""
        assert answer.request.url is not None
        method, path = str(answer.request.method), urlsplit(answer.request.url).path
        endpoint = endpoint_of(method, path) or outside_endpoint_of(method, path)
        where = f"{method} {path} {answer.status_code}"
        if answer.status_code >= 400:
            self._refused(where, endpoint, answer)
        elif endpoint is not None:
            self._answered(where, endpoint, answer)

    def add(self, where: str, found: Findings) -> None:
        """What `examine` found of something else, as a frame of a stream."""
        self.faults += [f"{where}: {fault}" for fault in found.faults]
        self.unknown |= found.unknown
        self.absent |= found.absent

    def confirm(self) -> None:
        """Raises AssertionError naming each fault."""
        assert not self.faults, "\n".join(self.faults)

    def _answered(self, where: str, endpoint: Endpoint, answer: requests.Response) -> None:
        if answer.status_code != endpoint.status:
            self.faults.append(f"{where}: {endpoint.status} is published")
        elif endpoint.answer is not None:
            self.add(where, examine(endpoint.answer, answer.content))
        elif answer.content:
            self.faults.append(f"{where}: a body, where none is published")
        self.answered.add(f"{endpoint.method} {endpoint.path}")

    def _refused(self, where: str, endpoint: Endpoint | None, answer: requests.Response) -> None:
        if endpoint is not None and answer.status_code not in endpoint.statuses:
            self.faults.append(f"{where}: not among the published refusals {endpoint.statuses}")
        kind = ErrorBody if endpoint is None else endpoint.refusal
        found = examine(kind, answer.content)
        self.add(where, Findings(found.faults, found.unknown))
