"""Each fault of orders, the account and the market fires as it is described (TS-3, TL-3, TL-6, BR-6, BS-2)."""

from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from holdfast_exchange.faults.commands import Halt
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import MINUTE, OPEN, eventually
from tests.contract.papermarket.faulty import arm, data_stream, fired, order, rest, simple, trade_updates, unanswered


async def submitted(client: httpx.AsyncClient, **fields: str) -> str:
    made = await client.post("/v2/orders", json=order(**fields))
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


async def shown(client: httpx.AsyncClient, order_id: str) -> tuple[str, str]:
    """Status and filled quantity."""
    found = (await client.get(f"/v2/orders/{order_id}")).json()
    return found["status"], found["filled_qty"]


async def held(client: httpx.AsyncClient, symbol: str = "SPY") -> Decimal:
    positions = (await client.get("/v2/positions")).json()
    return sum((Decimal(each["qty"]) for each in positions if each["symbol"] == symbol), Decimal(0))


async def test_an_order_fills_in_part_and_the_rest_waits(market: Embedded) -> None:
    """TL-6"""
    arm(market, "partial_fill", {"order_kind": "oto"}, fraction=0.4, secs=120)
    async with rest(market) as client:
        entry = await submitted(client)
        market.step_to(OPEN + 6 * MINUTE)
        assert await shown(client, entry) == ("partially_filled", "4")
        assert await held(client) == 4
        market.step_to(OPEN + 8 * MINUTE)
        assert await shown(client, entry) == ("filled", "10")
    assert fired(market) == 1


async def test_a_fill_is_told_before_its_order_is_acknowledged(market: Embedded) -> None:
    arm(market, "fill_before_ack", {"side": "buy"}, ack_ms=60_000)
    async with trade_updates(market) as seen, rest(market) as client:
        await unanswered(market, client)
        await eventually(lambda: seen.updates() == ["new", "fill", "new"])
        assert await held(client) == 10


async def test_an_order_fills_after_its_cancel_was_accepted(market: Embedded) -> None:
    """BR-2: 204, and then the whole of it."""
    arm(market, "cancel_fill_race", {"at_most": 1})
    async with rest(market) as client, trade_updates(market) as seen:
        entry = await submitted(client)
        assert (await client.delete(f"/v2/orders/{entry}")).status_code == 204
        # A lock-step cannot wait for the next tick: it waits for the outcome of the cancel.
        assert await shown(client, entry) == ("filled", "10")
        assert await held(client) == 10
        await eventually(lambda: len(seen.updates()) == 5)
        assert seen.updates() == ["new", "pending_cancel", "fill", "order_cancel_rejected", "new"]


async def test_an_order_fills_in_part_before_it_is_cancelled(market: Embedded) -> None:
    arm(market, "cancel_fill_race", fraction=0.5)
    async with rest(market) as client:
        entry = await submitted(client)
        assert (await client.delete(f"/v2/orders/{entry}")).status_code == 204
        market.step_to(OPEN + 6 * MINUTE)
        assert await shown(client, entry) == ("canceled", "5")
        assert await held(client) == 5


async def test_a_cancel_without_keys_races_nothing(market: Embedded) -> None:
    arm(market, "cancel_fill_race")
    async with rest(market) as client:
        entry = await submitted(client)
        client.headers["APCA-API-SECRET-KEY"] = "wrong"
        assert (await client.delete(f"/v2/orders/{entry}")).status_code == 401
    assert (fired(market), market.venue.exchange.orders[entry].status) == (0, "new")


async def test_no_fault_fills_an_order_of_a_halted_symbol(market: Embedded) -> None:
    """TL-3: a cancel finds the order as it was."""
    arm(market, "cancel_fill_race")
    async with rest(market) as client:
        entry = await submitted(client)
        market.venue.carry_out(Halt(market.venue.market_now(), "SPY", OPEN + 60 * MINUTE))
        assert (await client.delete(f"/v2/orders/{entry}")).status_code == 204
        assert await shown(client, entry) == ("canceled", "0")
    assert fired(market) == 0


async def test_no_fault_fills_an_order_while_the_market_is_closed(market: Embedded) -> None:
    """TL-2"""
    arm(market, "cancel_fill_race")
    async with rest(market) as client:
        entry = await submitted(client, time_in_force="gtc", limit_price="100", stop_loss={"stop_price": "90"})  # type: ignore[arg-type]
        market.step_to(market.venue.replay.end)
        assert (await client.delete(f"/v2/orders/{entry}")).status_code == 204
        assert await shown(client, entry) == ("canceled", "0")
    assert fired(market) == 0


async def test_both_exits_fill(market: Embedded) -> None:
    arm(market, "both_exits_fill", {"side": "sell", "at_most": 1})
    async with rest(market) as client:
        await submitted(client)
        market.step_to(OPEN + 6 * MINUTE)
        (stop,) = (await client.get("/v2/orders")).json()
        assert (await client.delete(f"/v2/orders/{stop['id']}")).status_code == 204
        sale = simple(side="sell", type="market", client_order_id="sale")
        sale.pop("limit_price")
        assert (await client.post("/v2/orders", json=sale)).status_code == 200
        market.step_to(OPEN + 7 * MINUTE)
        assert await shown(client, stop["id"]) == ("filled", "10")
        assert await held(client) == -10


async def test_trading_in_a_symbol_is_halted(market: Embedded) -> None:
    """TL-3"""
    async with rest(market) as client, data_stream(market, "statuses", symbol="*") as seen:
        entry = await submitted(client)
        arm(market, "halt", {"symbol": "SPY"}, secs=120)
        market.step_to(OPEN + 7 * MINUTE)
        assert await shown(client, entry) == ("new", "0")
        await eventually(lambda: [(each["S"], each["sc"]) for each in seen.of("s")] == [("SPY", "2")])
        market.step_to(OPEN + 9 * MINUTE)
        assert await shown(client, entry) == ("filled", "10")
        await eventually(lambda: len(seen.of("s")) == 2)


async def test_the_venue_closes_early(market: Embedded) -> None:
    """TL-3"""
    arm(market, "early_close", close="09:40")
    async with rest(market) as client:
        entry = await submitted(client, limit_price="100", stop_loss={"stop_price": "90"})  # type: ignore[arg-type]
        market.step_to(OPEN + 6 * MINUTE)
        clock = (await client.get("/v2/clock")).json()
        assert clock["is_open"] is True
        assert clock["next_close"].startswith("2013-10-08T09:40:00")
        (day,) = (await client.get("/v2/calendar?start=2013-10-08&end=2013-10-08")).json()
        assert day["close"] == "09:40"
        market.step_to(OPEN + 11 * MINUTE)
        assert (await client.get("/v2/clock")).json()["is_open"] is False
        assert (await shown(client, entry))[0] == "expired"


async def test_the_broker_liquidates_a_position(market: Embedded) -> None:
    async with rest(market) as client:
        await submitted(client)
        arm(market, "forced_liquidation", {"symbol": "SPY"})
        market.step_to(OPEN + 7 * MINUTE)
        assert fired(market) == 1, "it waited for a position"
        assert await held(client) == 0
        assert (await client.get("/v2/orders")).json() == []
        fills = (await client.get("/v2/account/activities/FILL")).json()
        assert [each["side"] for each in fills] == ["sell", "buy"]


async def test_a_foreign_order_appears(market: Embedded) -> None:
    arm(market, "foreign_order", {"symbol": "IBM"}, quantity="5", limit_fraction="0.5")
    async with rest(market) as client, trade_updates(market) as seen:
        market.step_to(OPEN + 6 * MINUTE)
        (foreign,) = (await client.get("/v2/orders")).json()
        assert (foreign["symbol"], foreign["qty"], foreign["client_order_id"]) == ("IBM", "5", "foreign-it-1")
        await eventually(lambda: seen.updates() == ["new"])


async def test_a_foreign_position_appears(market: Embedded) -> None:
    arm(market, "foreign_position", {"symbol": "IBM"}, quantity="7")
    async with rest(market) as client:
        market.step_to(OPEN + 6 * MINUTE)
        assert await held(client, "IBM") == 7
        assert (await client.get("/v2/account/activities/FILL")).json() == []


async def test_a_position_differs(market: Embedded) -> None:
    async with rest(market) as client:
        await submitted(client)
        arm(market, "position_differs", {"symbol": "SPY"}, by="-3")
        market.step_to(OPEN + 8 * MINUTE)
        assert await held(client) == 7


async def test_a_split_overnight(recorded: Recording, tmp_path: Path) -> None:
    """BS-2: twice the shares, half the stop, prices of half from then on."""
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-09") as market, rest(market) as client:
        market.step_to(OPEN + 5 * MINUTE)
        made = await client.post("/v2/orders", json=order(time_in_force="gtc"))
        assert made.status_code == 200, made.text
        arm(market, "split_overnight", {"symbol": "SPY"})
        market.step_to(OPEN + 300 * MINUTE)
        assert await held(client) == 10
        assert fired(market) == 0
        before = market.venue.exchange.equity()
        market.step_to(OPEN.replace(day=9) + MINUTE)
        assert fired(market) == 1
        assert await held(client) == 20
        price = market.venue.exchange.market.price("SPY")
        assert price is not None
        assert 80 < price < 86
        assert abs(market.venue.exchange.equity() - before) < 100, "worth what it was, but for the market's own move"
        (stop,) = (await client.get("/v2/orders")).json()
        assert (stop["qty"], stop["stop_price"]) == ("20", "75")


async def test_a_killed_venue_goes_on_with_its_plan_and_counters(recorded: Recording, tmp_path: Path) -> None:
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08") as market:
        arm(market, "price_gap", {"symbol": "SPY"}, factor="0.5")
        market.step_to(OPEN + 6 * MINUTE)
        before = market.venue.state()
        price = market.venue.exchange.market.price("SPY")
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08") as again:
        assert again.venue.state() == before
        assert again.venue.exchange.market.price("SPY") == price
        again.step_to(OPEN + 8 * MINUTE)
        assert fired(again) == 1, "once in both lives together"


async def test_what_cannot_happen_is_not_counted(market: Embedded) -> None:
    """A close that is past waits for the next session; more shares than are held are not taken away."""
    arm(market, "early_close", close="09:31")
    market.step_to(OPEN + 7 * MINUTE)
    assert fired(market) == 0
    async with rest(market) as client:
        await submitted(client)
        arm(market, "position_differs", {"symbol": "SPY"}, by="-30")
        market.step_to(OPEN + 9 * MINUTE)
        assert (await held(client), fired(market)) == (10, 0)


@pytest.mark.parametrize("kind", ["foreign_order", "foreign_position"])
async def test_what_needs_a_price_waits_for_the_first(recorded: Recording, tmp_path: Path, kind: str) -> None:
    async with embedded(recorded, tmp_path, start="2013-10-07", end="2013-10-07") as market:
        arm(market, kind, {"symbol": "SPY"})
        while market.venue.exchange.market.price("SPY") is None:
            assert fired(market) == 0
            market.clock.step()
        market.step_to(market.venue.exchange.now + MINUTE)
        assert fired(market) == 1
