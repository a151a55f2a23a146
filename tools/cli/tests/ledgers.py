"""Small ledgers, and the venue's books that agree with them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_core.ids import CLIENT_ORDER_ID_PREFIX
from holdfast_runtime.wire import to_timestamp

START = datetime(2013, 10, 8, 13, 30, tzinfo=UTC)
STARTING_CASH = Decimal(100_000)
STOP_PURPOSES = {True: pb.PURPOSE_ENTRY, False: pb.PURPOSE_EXIT}


@dataclass(frozen=True, slots=True)
class Trade:
    """A fill of a whole order. Positive quantities buy."""

    symbol: str
    quantity: int
    price: Decimal


def amount(value: Decimal | int) -> common.Decimal:
    return common.Decimal(value=format(Decimal(value), "f"))


@dataclass(slots=True)
class World:
    """One ledger with one stop under each position, and the books of a venue that saw the same."""

    trades: Sequence[Trade]
    ledger: pb.GetLedgerResponse = field(init=False)
    books: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        cash = STARTING_CASH
        held: dict[str, int] = defaultdict(int)
        self.ledger = pb.GetLedgerResponse(decisions_allowed=len(self.trades))
        self.books = {"orders": [], "fills": [], "positions": []}
        for number, trade in enumerate(self.trades):
            cash -= trade.quantity * trade.price
            held[trade.symbol] += trade.quantity
            self._fill(number, trade)
        for symbol, quantity in held.items():
            self._hold(symbol, quantity)
        self.books["cash"] = str(cash)
        self.ledger.account.CopyFrom(pb.Account(starting_cash=amount(STARTING_CASH), cash=amount(cash)))

    def intent(self, name: str) -> pb.Intent:
        return next(each for each in self.ledger.intents if each.intent_id == name)

    def order(self, name: str) -> dict[str, Any]:
        return next(each for each in self.books["orders"] if each["id"] == f"b-{name}")

    def add_order(
        self, name: str, trade: Trade, purpose: pb.Purpose.ValueType, state: pb.IntentState.ValueType
    ) -> None:
        """The intent and the venue's order that carries it."""
        filled = abs(trade.quantity) if state == pb.INTENT_STATE_FILLED else 0
        self.ledger.intents.append(
            pb.Intent(
                intent_id=name,
                signal_id=f"sma.{name}",
                strategy="sma",
                symbol=trade.symbol,
                side=common.SIDE_BUY if trade.quantity > 0 else common.SIDE_SELL,
                purpose=purpose,
                state=state,
                attempts=1,
                quantity=amount(abs(trade.quantity)),
                filled_quantity=amount(filled),
                broker_order_id=f"b-{name}",
                client_order_id=f"{CLIENT_ORDER_ID_PREFIX}{name}",
                created_at=to_timestamp(START),
            )
        )
        self.books["orders"].append(
            {
                "id": f"b-{name}",
                "client_order_id": f"{CLIENT_ORDER_ID_PREFIX}{name}",
                "replaced_by": None,
                "status": "filled" if filled else "new",
            }
        )

    def _fill(self, number: int, trade: Trade) -> None:
        name = f"i{number}"
        self.add_order(name, trade, STOP_PURPOSES[trade.quantity > 0], pb.INTENT_STATE_FILLED)
        self.ledger.fills.append(
            pb.Fill(
                fill_id=f"f{number}",
                intent_id=name,
                broker_order_id=f"b-{name}",
                symbol=trade.symbol,
                strategy="sma",
                side=common.SIDE_BUY if trade.quantity > 0 else common.SIDE_SELL,
                quantity=amount(abs(trade.quantity)),
                cumulative_quantity=amount(abs(trade.quantity)),
                price=amount(trade.price),
                filled_at=to_timestamp(START + timedelta(minutes=number)),
            )
        )
        self.books["fills"].append({"order_id": f"b-{name}", "qty": str(abs(trade.quantity))})

    def _hold(self, symbol: str, quantity: int) -> None:
        held = pb.Position(symbol=symbol, strategy="sma", quantity=amount(quantity), average_price=amount(100))
        if quantity:
            held.protection = pb.PROTECTION_ACTIVE
            held.stop_quantity.CopyFrom(amount(quantity))
            held.stop_price.CopyFrom(amount(95))
            self.add_order(
                f"stop-{symbol}", Trade(symbol, -quantity, Decimal(95)), pb.PURPOSE_STOP, pb.INTENT_STATE_ACKED
            )
            self.books["positions"].append({"symbol": symbol, "qty": str(quantity)})
        self.ledger.positions.append(held)
