"""Every endpoint that is described is served, and its answer has every published field (TS-3, BR-1 … BR-8)."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from holdfast_exchange import recording as recordings
from holdfast_exchange.account_commands import Announce
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.corporate_actions import SPLITS, ActionKind, CorporateAction
from holdfast_papermarket.embedded import Embedded, embedded
from holdfast_papermarket.published.endpoints import CRYPTO, ENDPOINTS, Endpoint
from holdfast_papermarket.published.outside_endpoints import COINGLASS, PAPERMARKET, UNUSUAL_WHALES
from tests.contract.papermarket.client import MINUTE, OPEN, PATIENCE_SECS, ask, headers
from tests.contract.witness import NOT_FOR_ALL, Witness

UNPUBLISHED: set[str] = set()
"""What papermarket sends beside what is published."""


class Asked:
    """Requests without the SDK, of which the witness sees every answer."""

    def __init__(self, market: Embedded) -> None:
        self.witness = Witness()
        self._market = market
        self._session = requests.Session()
        self._session.hooks["response"].append(self.witness.take)

    async def __call__(self, method: str, path: str, **named: Any) -> Any:
        key = self._market.keys.key
        every = headers(self._market) | {"Authorization": f"Bearer {key}", "CG-API-KEY": key}
        answer = await ask(
            lambda: self._session.request(
                method, self._market.url + path, headers=every, timeout=PATIENCE_SECS, **named
            )
        )
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def confirm(self, endpoints: tuple[Endpoint, ...]) -> None:
        """That all of `endpoints` were asked and that nothing lacks."""
        self.witness.confirm()
        assert {f"{each.method} {each.path}" for each in endpoints} - self.witness.answered == set()
        assert self.witness.absent - NOT_FOR_ALL == set()
        assert self.witness.unknown - UNPUBLISHED == set()


@pytest.fixture(scope="module")
def pairs() -> recordings.Recording:
    return recordings.load(default_folder_of("crypto"))


@pytest.fixture
async def crypto_market(pairs: recordings.Recording, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded(pairs, tmp_path, start="2018-04-05T01:25:00Z", end="2018-04-05T02:00:00Z") as running:
        for _ in range(10):
            running.clock.step()
        yield running


def order(**fields: object) -> dict[str, object]:
    common = {"symbol": "SPY", "qty": "2", "side": "buy", "type": "limit", "time_in_force": "day"}
    return common | {"limit_price": "180"} | fields


async def test_every_endpoint_of_an_equity_account_is_complete(market: Embedded) -> None:
    asked = Asked(market)
    announced = {kind: _action(kind) for kind in ActionKind}
    for action in announced.values():
        market.venue.carry_out(Announce(market.venue.market_now(), action))
    await _orders(market, asked)
    await asked("GET", "/v2/account")
    await asked("GET", "/v2/account/configurations")
    await asked("PATCH", "/v2/account/configurations", json={"trade_confirm_email": "none"})
    for kind in ("", "/FILL"):
        assert await asked("GET", f"/v2/account/activities{kind}")
    await asked("GET", "/v2/account/portfolio/history")
    await asked("GET", "/v2/clock")
    await asked("GET", "/v2/calendar?start=2013-10-01&end=2013-10-20")
    await asked("GET", "/v2/assets")
    await asked("GET", "/v2/assets/SPY")
    window = "since=2013-10-01&until=2013-12-01"
    assert await asked("GET", f"/v2/corporate_actions/announcements?ca_types=split&{window}")
    await asked("GET", f"/v2/corporate_actions/announcements/{announced[ActionKind.FORWARD_SPLIT].id}")
    found = await asked("GET", "/v1/corporate-actions?symbols=BAC&start=2013-10-01&end=2013-12-01")
    assert sum(len(each) for each in found["corporate_actions"].values()) == len(announced)
    for kind in ("bars", "quotes", "trades"):
        more = "&timeframe=1Min" if kind == "bars" else ""
        for of, named in (("", "symbols=SPY,BAC&"), ("/SPY", "")):
            assert await asked("GET", f"/v2/stocks{of}/{kind}?{named}currency=USD&limit=3{more}")
            assert await asked("GET", f"/v2/stocks{of}/{kind}/latest?{named}currency=USD")
    await asked("GET", "/v2/stocks/snapshots?symbols=SPY,BAC")
    await asked("GET", "/v2/stocks/SPY/snapshot?currency=USD")
    await asked("GET", "/v2/stocks/meta/exchanges")
    await asked("GET", "/v2/stocks/meta/conditions/trade?tape=A")
    asked.confirm(tuple(each for each in ENDPOINTS if each not in CRYPTO))


def _action(kind: ActionKind) -> CorporateAction:
    return CorporateAction(
        kind=kind,
        symbol="BAC",
        new_symbol="" if kind in SPLITS or kind is ActionKind.CASH_DIVIDEND else "NEW",
        ex_date=date(2013, 10, 30),
        declaration_date=date(2013, 10, 1),
        record_date=date(2013, 10, 29),
        payable_date=date(2013, 10, 31),
        old_rate=Decimal(4) if kind is ActionKind.REVERSE_SPLIT else Decimal(1),
        new_rate=Decimal(2),
        cash=Decimal("0.5"),
    )


async def _orders(market: Embedded, asked: Asked) -> None:
    """Groups, fills, positions, closings, replacements and cancels."""
    stop, profit = {"stop_price": "150", "limit_price": "149"}, {"limit_price": "200"}
    made = await asked("POST", "/v2/orders", json=order(order_class="bracket", stop_loss=stop, take_profit=profit))
    market.step_to(OPEN + 6 * MINUTE)
    assert [leg["status"] for leg in made["legs"]] == ["held", "held"]
    await asked("GET", f"/v2/orders/{made['id']}?nested=true")
    assert await asked("GET", "/v2/orders?status=all&nested=true")
    await asked("GET", f"/v2/orders:by_client_order_id?client_order_id={made['client_order_id']}")
    trailing = {"symbol": "IBM", "qty": "1", "side": "buy", "type": "trailing_stop", "time_in_force": "gtc"}
    await asked("POST", "/v2/orders", json=trailing | {"trail_percent": "50"})
    resting = await asked("POST", "/v2/orders", json=order(symbol="BAC", limit_price="3"))
    market.step_to(OPEN + 7 * MINUTE)
    replaced = await asked("PATCH", f"/v2/orders/{resting['id']}", json={"limit_price": "4"})
    await asked("DELETE", f"/v2/orders/{replaced['id']}")
    assert await asked("DELETE", "/v2/orders")
    assert await asked("GET", "/v2/positions")
    await asked("GET", "/v2/positions/SPY")
    await asked("DELETE", "/v2/positions/SPY?qty=1")
    market.step_to(OPEN + 8 * MINUTE)
    assert await asked("DELETE", "/v2/positions")


async def test_every_endpoint_of_crypto_data_is_complete(crypto_market: Embedded) -> None:
    asked = Asked(crypto_market)
    place, named = "/v1beta3/crypto/us", "symbols=BTC/USD,ETH/USD"
    for kind in ("bars", "quotes", "trades"):
        found = await asked("GET", f"{place}/{kind}?{named}&limit=3{'&timeframe=1Min' if kind == 'bars' else ''}")
        assert found[kind]["BTC/USD"]
        assert await asked("GET", f"{place}/latest/{kind}?{named}")
    await asked("GET", f"{place}/latest/orderbooks?{named}")
    await asked("GET", f"{place}/snapshots?{named}")
    asked.confirm(CRYPTO)


async def test_every_endpoint_of_a_crypto_account_is_complete(crypto_market: Embedded) -> None:
    asked = Asked(crypto_market)
    bought = {"symbol": "BTC/USD", "side": "buy", "type": "market", "time_in_force": "gtc"}
    await asked("POST", "/v2/orders", json=bought | {"notional": "500"})
    await asked("POST", "/v2/orders", json=bought | {"qty": "0.01"})
    for _ in range(4):
        crypto_market.clock.step()
    assert await asked("GET", "/v2/account")
    assert await asked("GET", "/v2/positions")
    assert await asked("GET", "/v2/orders?status=all")
    assert await asked("GET", "/v2/assets?asset_class=crypto")
    assert await asked("GET", "/v2/account/activities")
    assert await asked("GET", "/v2/positions/BTCUSD")
    asked.confirm(())


async def test_papermarkets_own_pages_and_options_flow_are_complete(market: Embedded) -> None:
    asked = Asked(market)
    await asked("POST", "/v2/orders", json=order())
    market.step_to(OPEN + 10 * MINUTE)
    assert (await asked("GET", "/papermarket/v1/books"))["fills"]
    await asked("PUT", "/papermarket/v1/faults", json={"faults": []})
    fault = {"id": "slow", "kind": "latency", "ms": 1}
    assert (await asked("POST", "/papermarket/v1/faults", json=fault))["counters"]
    await asked("GET", "/papermarket/v1/faults")
    await asked("GET", "/papermarket/v1/status")
    await asked("DELETE", "/papermarket/v1/faults/slow")
    await asked("DELETE", "/papermarket/v1/faults")
    assert (await asked("GET", "/unusualwhales/api/option-trades/flow-alerts?limit=50"))["data"]
    assert (await asked("GET", "/unusualwhales/api/darkpool/recent?limit=50"))["data"]
    asked.confirm((*PAPERMARKET, *UNUSUAL_WHALES))


async def test_derivatives_intelligence_is_complete(crypto_market: Embedded) -> None:
    asked = Asked(crypto_market)
    values = {"exchange": "Binance", "interval": "1m", "range": "1h", "limit": "5"}
    for endpoint in COINGLASS:
        coin = any(each.text.startswith("A coin") for each in endpoint.query)
        query = {each.name: values[each.name] for each in endpoint.query if each.name in values}
        if any(each.name == "symbol" for each in endpoint.query):
            query["symbol"] = "BTC" if coin else "BTCUSDT"
        assert (await asked("GET", endpoint.path, params=query))["code"] == "0", endpoint.path
    asked.confirm(COINGLASS)
