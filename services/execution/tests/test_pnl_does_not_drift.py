"""P&L over any window is what is stored, and however many trades there were, no unit is gained or lost (PT-10, CQ-3,
invariant 6).

`HOLDFAST_TRADES=1000000 pytest …` makes as many on a real SQLite file (about half an hour).
"""

import os
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from itertools import pairwise
from pathlib import Path

import pytest

from holdfast_execution.adapters.sql.sql_ledger import SqlLedger, open_ledger
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.ledger import FillRow, NewFill, NewIntent
from holdfast_runtime.ports.venue import OrderType, Side, TimeInForce

TRADES = int(os.environ.get("HOLDFAST_TRADES", "2000"))
BEGIN = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)
CASH = Decimal(1_000_000)
CASH_UNIT = Decimal("1e-8")
PARTS = 20
"""Executions of one order."""
GROUP = 20
"""Orders of one commit."""
BOOKS = {"BTC/USD": ("crypto", "1e-9", "1e-4"), "IBM": ("equity", "1", "1e-2"), "SPY": ("equity", "1e-9", "1e-4")}
"""Symbol: book, and the steps of its quantities and prices."""


@dataclass
class Held:
    """A position by the textbook, in Decimal: average cost, each amount of money rounded to its unit."""

    quantity: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)

    def trade(self, signed: Decimal, price: Decimal) -> Decimal:
        """Takes the trade over; what it realised. Sales are of no more than is held."""
        paid = (signed * price).quantize(CASH_UNIT)
        gained = Decimal(0)
        if signed < 0:
            out = (self.cost * -signed / self.quantity).quantize(CASH_UNIT)
            gained = -paid - out
            self.cost -= out
        else:
            self.cost += paid
        self.quantity += signed
        return gained


@dataclass(frozen=True)
class Stored:
    """The account's row after a group of orders, and what those orders have gained by the textbook."""

    at: datetime
    realised: Decimal
    cash: Decimal
    gained: Decimal


class Trader:
    """Buys and sells at random; ends with nothing held."""

    def __init__(self, ledger: SqlLedger, seed: int) -> None:
        self.ledger = ledger
        self.chance = random.Random(seed)
        taken = ledger.acquire_lease(BEGIN, "pod-a", ledger.lease())
        assert taken is not None
        self.epoch = taken.epoch
        ledger.open_account(self.epoch, BEGIN, CASH)
        self.now = BEGIN
        self.orders = 0
        self.held: dict[str, Held] = defaultdict(Held)
        self.flow = Decimal(0)

    def run(self, trades: int) -> Iterator[Stored]:
        for _ in range(max(trades // (PARTS * GROUP), 2)):
            yield self.group([self.chance.choice(sorted(BOOKS)) for _ in range(GROUP)])
        yield self.group([symbol for symbol in sorted(self.held) if self.held[symbol].quantity], all_of_it=True)

    def group(self, symbols: list[str], *, all_of_it: bool = False) -> Stored:
        with self.ledger.session.transaction():
            gained = sum((self.order(symbol, all_of_it=all_of_it) for symbol in symbols), Decimal(0))
        account = self.ledger.account()
        return Stored(self.now, account.realised_pnl, account.cash, gained)

    def order(self, symbol: str, *, all_of_it: bool) -> Decimal:
        """One order, filled in parts; what it gained by the textbook."""
        book, step, tick = (BOOKS[symbol][0], *map(Decimal, BOOKS[symbol][1:]))
        held = self.held[symbol]
        selling = all_of_it or (held.quantity >= PARTS * step and self.chance.random() < 0.5)
        quantity = held.quantity
        if not all_of_it:
            most = quantity if selling else Decimal(1000)
            quantity = max((most * self.chance.randint(1, 1000) / 1000) // step, PARTS) * step
        self.orders += 1
        name = f"o{self.orders}"
        self.ledger.add_intent(
            self.epoch,
            self.now,
            NewIntent(
                intent_id=name,
                signal_id=name,
                strategy="sma",
                symbol=symbol,
                side=Side.SELL if selling else Side.BUY,
                purpose=Purpose.EXIT if selling else Purpose.ENTRY,
                quantity=quantity,
                order_type=OrderType.MARKET,
                time_in_force=TimeInForce.DAY,
                client_order_id=f"hf-{name}",
                book=book,
                reserve_price=None if selling else Decimal(100),
            ),
        )
        self.ledger.claim_send(self.epoch, self.now, name)
        self.ledger.record_ack(self.epoch, self.now, name, f"b-{name}")
        part, filled, gained = quantity // PARTS // step * step, Decimal(0), Decimal(0)
        for number in range(PARTS):
            size = part if number < PARTS - 1 else quantity - filled
            if not size:
                continue
            filled += size
            self.now += timedelta(milliseconds=self.chance.randint(1, 5000))
            price = self.chance.randint(1, 2_000_000) * tick
            signed = -size if selling else size
            gained += held.trade(signed, price)
            self.flow -= (signed * price).quantize(CASH_UNIT)
            fill = NewFill(
                broker_order_id=f"b-{name}", quantity=size, cumulative_quantity=filled, price=price, filled_at=self.now
            )
            self.ledger.apply_fill(self.epoch, self.now, fill)
        return gained


def paid(fill: FillRow) -> Decimal:
    """What the fill brought in cash."""
    amount = (fill.quantity * fill.price).quantize(CASH_UNIT)
    return amount if fill.side is Side.SELL else -amount


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    database, ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "paper")
    with localcontext(Context(prec=60)):
        yield ledger
    database.close()


@pytest.mark.timeout(4 * 3600 if TRADES > 10_000 else 300)
def test_windows_of_pnl_are_what_is_stored_and_no_unit_is_lost(ledger: SqlLedger) -> None:
    trader = Trader(ledger, seed=20131007)

    stored = [Stored(BEGIN, Decimal(0), CASH, Decimal(0)), *trader.run(TRADES)]

    for before, after in pairwise(stored):
        assert after.realised - before.realised == after.gained
    # Nothing is held: all that was paid and got is what was realised, to the last unit.
    account, positions = ledger.account(), ledger.positions()
    assert positions == []
    assert account.realised_pnl == trader.flow == sum(each.gained for each in stored)
    assert account.cash == CASH + account.realised_pnl
    # Rolling windows over the newest part of the run, from the stored fills alone.
    newest = stored[-min(len(stored), 100) :]
    fills = ledger.ledger_state(newest[0].at).fills
    for width in (1, 3, len(newest) - 1):
        for began, ended in zip(newest, newest[width:], strict=False):
            window = [fill for fill in fills if began.at < fill.filled_at <= ended.at]
            assert sum((fill.realised_pnl for fill in window), Decimal(0)) == ended.realised - began.realised
            assert sum((paid(fill) for fill in window), Decimal(0)) == ended.cash - began.cash
