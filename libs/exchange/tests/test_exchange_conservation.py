"""Whatever is asked of the exchange, nothing appears from nowhere (BR-6, DI-6): properties over random histories."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_exchange import matching
from holdfast_exchange.commands import Cancel, Command, Replace, decode, encode
from holdfast_exchange.orders import Refusal, Replacement, Side, Status, TimeInForce
from holdfast_exchange.recording import Bar, QuoteBar
from libs.exchange.tests.exchange_floor import CLOSE, OPEN, Floor, bar, quote

SYMBOLS = ("BAC", "SPY")
MINUTES = 12
SLIPPAGE = Decimal(3)

prices = st.integers(9_000, 11_000).map(lambda cents: Decimal(cents) / 100)


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Bar], list[QuoteBar]]:
    """Bars with gaps and thin volume, quotes here and there."""
    bars, quotes = [], []
    for symbol in SYMBOLS:
        for minute in range(MINUTES):
            if draw(st.integers(0, 9)) == 0:
                continue
            low, first, last, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
            volume = draw(st.sampled_from((0, 1, 7, 50, 10_000)))
            bars.append(bar(minute, str(first), str(high), str(low), str(last), volume, symbol))
            if draw(st.booleans()):
                quotes.append(quote(minute, str(first - Decimal("0.05")), str(first + Decimal("0.05")), symbol))
    bars.append(bar(0, "100", "100", "100", "100", 100, "XYZ"))
    return sorted(bars, key=lambda row: (row.end, row.symbol)), sorted(quotes, key=lambda row: (row.end, row.symbol))


asked = st.one_of(
    st.fixed_dictionaries(
        {
            "do": st.just("order"),
            "symbol": st.sampled_from(SYMBOLS),
            "side": st.sampled_from(("buy", "sell")),
            "quantity": st.integers(1, 60),
            "kind": st.sampled_from(("market", "limit", "stop")),
            "price": prices,
            "protect": st.one_of(st.none(), prices),
            "tif": st.sampled_from(("day", "gtc", "ioc")),
        }
    ),
    st.fixed_dictionaries({"do": st.just("cancel"), "which": st.integers(0, 30)}),
    st.fixed_dictionaries({"do": st.just("replace"), "which": st.integers(0, 30), "quantity": st.integers(1, 60)}),
    st.just({"do": "tick"}),
    st.just({"do": "tick"}),
)


def play(floor: Floor, script: list[dict[str, Any]]) -> None:
    """Does what the script asks; refusals are part of life."""
    minute = 0
    for step in script:
        try:
            _do(floor, step)
        except Refusal:
            continue
        if step["do"] == "tick" and minute < MINUTES:
            floor.minute(minute)
            minute += 1
    floor.tick(CLOSE)


def _do(floor: Floor, step: dict[str, Any]) -> None:
    known = list(floor.exchange.orders)
    if step["do"] == "order":
        fields: dict[str, Any] = {"symbol": step["symbol"], "tif": step["tif"]}
        if step["kind"] != "market":
            fields[f"{step['kind']}_price"] = step["price"]
        if step["protect"] is not None:
            fields["protect_stop_price"] = step["protect"]
        floor.order(step["side"], step["quantity"], step["kind"], **fields)
    elif step["do"] == "cancel" and known:
        floor.apply(Cancel(floor.exchange.now, known[step["which"] % len(known)]))
    elif step["do"] == "replace" and known:
        change = Replacement(quantity=Decimal(step["quantity"]), time_in_force=TimeInForce.GTC)
        floor.apply(Replace(floor.exchange.now, known[step["which"] % len(known)], change))


def opened(market: tuple[list[Bar], list[QuoteBar]]) -> Floor:
    floor = Floor(*market, slippage_bps=SLIPPAGE, volume_share=Decimal("0.8"), starting_cash=Decimal(20_000))
    floor.tick(OPEN)
    return floor


@settings(max_examples=60, deadline=None, print_blob=True)
@given(market=markets(), script=st.lists(asked, max_size=40))
def test_cash_and_shares_are_conserved(market: tuple[list[Bar], list[QuoteBar]], script: list[dict[str, Any]]) -> None:
    floor = opened(market)
    play(floor, script)
    books = floor.exchange.books
    spent = sum((fill.signed_quantity * fill.price for fill in books.fills), Decimal(0))
    assert books.cash == books.starting_cash - spent
    for symbol in SYMBOLS:
        held = sum((fill.signed_quantity for fill in books.fills if fill.symbol == symbol), Decimal(0))
        assert books.held(symbol) == held >= 0
    cost = sum((position.cost for position in books.positions.values()), Decimal(0))
    assert books.cash + cost == books.starting_cash + books.realised_total
    for order in floor.exchange.orders.values():
        fills = [fill for fill in books.fills if fill.order_id == order.id]
        assert order.filled_quantity == sum((fill.quantity for fill in fills), Decimal(0)) <= order.quantity
        assert (order.status is Status.FILLED) == (order.filled_quantity == order.quantity)


@settings(max_examples=60, deadline=None, print_blob=True)
@given(market=markets(), script=st.lists(asked, max_size=40))
def test_nothing_fills_outside_its_bar_nor_beyond_its_limit_nor_without_volume(
    market: tuple[list[Bar], list[QuoteBar]], script: list[dict[str, Any]]
) -> None:
    floor = opened(market)
    play(floor, script)
    bars = {(row.symbol, row.end): row for row in market[0]}
    quotes = {(row.symbol, row.end): row for row in market[1]}
    taken: dict[tuple[str, Any], Decimal] = {}
    for fill in floor.exchange.books.fills:
        place = (fill.symbol, fill.at)
        low, high = matching.envelope(bars[place], quotes.get(place), SLIPPAGE)
        assert low <= fill.price <= high
        order = floor.exchange.order(fill.order_id)
        assert order.created_at < fill.at
        if order.limit_price is not None:
            beyond = fill.price - order.limit_price
            assert beyond <= 0 if order.side is Side.BUY else beyond >= 0
        taken[place] = taken.get(place, Decimal(0)) + fill.quantity
    for place, quantity in taken.items():
        assert quantity <= bars[place].volume * Decimal("0.8")


@settings(max_examples=60, deadline=None, print_blob=True)
@given(market=markets(), script=st.lists(asked, max_size=30), cut=st.integers(0, 60))
def test_a_journal_restores_the_exchange_after_a_kill_at_any_step(
    market: tuple[list[Bar], list[QuoteBar]], script: list[dict[str, Any]], cut: int
) -> None:
    """TS-3: the commands, written down and read back, give the same books, ids and position in the recording."""
    floor = opened(market)
    play(floor, script)
    written = [encode(command) for command in floor.commands]
    read: list[Command] = [decode(line) for line in written]
    assert read == floor.commands
    killed_after = min(cut, len(read))
    restored = floor.again(read[:killed_after])
    for command in read[killed_after:]:
        restored.apply(command)
    assert restored.state() == floor.exchange.state()
