"""What an execution makes of its intent, and of the orders of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from holdfast_execution.adapters.sql import queries
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.adapters.sql.writes import SqlWrites
from holdfast_execution.domain.intents import TERMINAL, IntentState, Purpose, after_fill, is_late_fill
from holdfast_execution.domain.positions import Execution, notional
from holdfast_execution.domain.replacements import Link, cut
from holdfast_execution.rows import IntentRow


class FilledIntents(SqlWrites):
    """Intents as their fills become known."""

    def _count_on_intent(
        self,
        transaction: Transaction,
        now: datetime,
        order: dict[str, Any],
        intent: dict[str, Any],
        executions: Sequence[Execution],
    ) -> tuple[bool, IntentRow]:
        """Filled is the largest total seen (point 11). Returns whether the fill came after the end, and the intent."""
        before = IntentState(intent["state"])
        order_filled = max(order["filled_quantity"], executions[-1].cumulative)
        gained = order_filled - order["filled_quantity"]
        if gained:
            self._change_order(transaction, order["client_order_id"], filled_quantity=order_filled)
        filled = intent["filled_quantity"] + gained
        if gained and before not in TERMINAL and order["client_order_id"] != intent["client_order_id"]:
            intent = self._gained_beside(transaction, order, intent, gained)
        earlier = order["leg"] != intent["leg"]
        leg_done = not earlier and order_filled >= order["quantity"]
        counted = intent["counted_quantity"] + sum(each.quantity for each in executions)
        # While an earlier part is missing the order stays open here, so that it is asked for until it is counted.
        # Of a replacement that nothing is left for, the broker goes back to the old order, which may rest yet.
        rests = not earlier and intent["order_quantity"] == 0
        complete = counted >= filled and (leg_done or (filled >= intent["quantity"] and not rests))
        # A fill of an earlier leg says nothing of the present one.
        state = before if earlier and not complete else after_fill(before, complete=complete)
        late = gained > 0 and (is_late_fill(before) or earlier)
        cost = intent["filled_cost"] + sum(notional(each.quantity, each.price) for each in executions)
        row = self._change_intent(
            transaction,
            now,
            intent,
            f"late fill of {intent['intent_id']}, which was {before}" if late else "",
            state=state.value,
            quantity=intent["quantity"],
            filled_quantity=filled,
            counted_quantity=counted,
            filled_cost=cost,
        )
        return late, row

    def _gained_beside(
        self, transaction: Transaction, order: dict[str, Any], intent: dict[str, Any], gained: int
    ) -> dict[str, Any]:
        """An open intent's columns once another order than its present one has filled more: what rests of the present
        one, less what it was cut by, is wanted beyond that. An entry wants no more for what an earlier leg bought."""
        left = intent["order_quantity"]
        if order["leg"] == intent["leg"]:
            left = self._cut_successors(transaction, order, intent, gained)
        elif intent["purpose"] == Purpose.ENTRY.value:
            return intent
        wanted = intent["quantity"] + gained + left - intent["order_quantity"]
        return intent | {"quantity": wanted, "order_quantity": left}

    def _cut_successors(
        self, transaction: Transaction, order: dict[str, Any], intent: dict[str, Any], gained: int
    ) -> int:
        """What `order` has filled is taken off what took its place (point 12). Returns what the present order is about
        now; as before, where it does not come after `order`."""
        orders = {row["client_order_id"]: row for row in self._rows(queries.ORDERS, intent_id=intent["intent_id"])}
        chain = [orders[intent["client_order_id"]]]
        while chain[0]["client_order_id"] != order["client_order_id"]:
            older = orders.get(chain[0]["replaces"])
            if older is None:
                return int(intent["order_quantity"])
            chain.insert(0, older)
        quantities = cut([Link(row["quantity"], row["filled_quantity"]) for row in chain], gained)
        for row, quantity in zip(chain, quantities, strict=True):
            if quantity != row["quantity"]:
                self._change_order(transaction, row["client_order_id"], quantity=quantity)
        return quantities[-1]
