"""The safeguards that the simulation is known to watch, and what stands in the place of each when it is gone (TS-4)."""

from dataclasses import dataclass

_EXECUTION = "holdfast_execution"
_SCORING = "holdfast_scoring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`without` stands where `safeguard` stood, once, in the source of `module`."""

    name: str
    module: str
    safeguard: str
    without: str
    life: str
    """What is known to catch it, and is lived through first."""


MUTANTS = (
    Mutant(
        name="a mismatched answer is adopted",
        life="an answer about another order",
        module=f"{_EXECUTION}.domain.outcomes",
        safeguard='SendOutcome(step=Step.LOOK_UP, reason="ANSWER_MISMATCHED")',
        without='SendOutcome(step=Step.REJECT, reason="ANSWER_MISMATCHED")',
    ),
    Mutant(
        name="an unknown outcome counts as refused",
        life="ghost-orders",
        module=f"{_EXECUTION}.domain.outcomes",
        safeguard="""        case OutcomeUnknown() | VenueUnavailable():
            return SendOutcome(step=Step.LOOK_UP, reason="OUTCOME_UNKNOWN")""",
        without="""        case OutcomeUnknown() | VenueUnavailable():
            return SendOutcome(step=Step.REJECT, reason="OUTCOME_UNKNOWN")""",
    ),
    Mutant(
        name="what a look-up finds is not adopted",
        life="an entry that rests and was answered to nobody",
        module=f"{_EXECUTION}.resolver",
        safeguard="            if order is None:\n                await self._absent",
        without="            if True:\n                await self._absent",
    ),
    Mutant(
        name="one 404 is evidence",
        life="ghost-orders",
        module=f"{_EXECUTION}.resolver",
        safeguard="max(self._sender.deadlines.get(intent.intent_id, 0.0), trail.since_secs)",
        without="float('-inf')",
    ),
    Mutant(
        name="a send whose answer could not be written down never left",
        life="a stop that nobody knows of",
        module=f"{_EXECUTION}.sender",
        safeguard="            self.deadlines[intent.intent_id] = began_secs + self._timeout_secs\n",
        without="",
    ),
    Mutant(
        name="an earlier tenure's look-ups count",
        life="a lease that comes back while an order is looked for",
        module=f"{_EXECUTION}.resolver",
        safeguard="        return trail.epoch != self._books.tenure.epoch",
        without="        return False",
    ),
    Mutant(
        name="an unresolved order is given up, not asked for",
        life="an entry that never arrives and expires",
        module=f"{_EXECUTION}.resolver",
        safeguard="        if intent.state in (IntentState.UNKNOWN, IntentState.CANCELLING):\n            return True",
        without="        if intent.state in (IntentState.CANCELLING,):\n            return True",
    ),
    Mutant(
        name="a cancel is believed without proof",
        life="ghost-orders",
        module=f"{_EXECUTION}.sales",
        safeguard="intent.intent_id, IntentState.CANCELLING, reason=reason",
        without="intent.intent_id, IntentState.CANCELLED, reason=reason",
    ),
    Mutant(
        name="a send that was cut off stays SENDING",
        life="an answer that cannot be written down",
        module=f"{_EXECUTION}.resolver",
        safeguard="            return not self._sender.sending(intent.intent_id)",
        without="            return False",
    ),
    Mutant(
        name="halts are not looked at when an entry is claimed",
        life="a kill switch before an entry that waits can leave",
        module=f"{_EXECUTION}.adapters.sql.intent_writes",
        safeguard='        entry = Purpose(row["purpose"]).raises_risk',
        without="        entry = False",
    ),
    Mutant(
        name="a trade by the clock is settled each time it is tried",
        life="a sale by the clock whose commit nobody hears of",
        module=f"{_EXECUTION}.adapters.sql.firing_writes",
        safeguard=", _f.state == FiringState.DUE.value)",
        without=")",
    ),
    Mutant(
        name="a buy by the clock is good until the close",
        life="a buy by the clock that cannot leave within its grace",
        module="holdfast_core.schedules",
        safeguard="else min(planned_at + schedule.grace, next_sale)",
        without="else session.close",
    ),
    Mutant(
        name="a buy by the clock that was told as missed is bought",
        life="a buy by the clock that a clock ahead of its time gives up",
        module=f"{_EXECUTION}.domain.limits",
        safeguard="        if (decision.strategy, market_time) in self._view.skipped_buys:",
        without="        if False:",
    ),
    Mutant(
        name="it is not asked whether a split has moved the stop",
        life="a split that is seen in the prices alone",
        module=f"{_EXECUTION}.protector",
        safeguard="        await self._hands.hear_of_moves(symbol, stops)\n",
        without="",
    ),
    Mutant(
        name="a split of what somebody else holds is counted",
        life="a split of what somebody else holds",
        module=f"{_EXECUTION}.adapters.sql.adjustment_writes",
        safeguard="        if fee.kind in (SPLIT, CASH_IN_LIEU) and not self._was_held(fee.symbol, to_micros(fee.at)):",
        without="        if False:",
    ),
    Mutant(
        name="a stop that a split has changed stays as it was sent",
        life="a split while nobody executes",
        module=f"{_EXECUTION}.adoption",
        safeguard="intent=take_restated(ledger, epoch, now, taken.intent, order)",
        without="intent=taken.intent",
    ),
    Mutant(
        name="attempts are not counted",
        life="warm-restart",
        module=f"{_EXECUTION}.adapters.sql.intent_writes",
        safeguard='                order={"attempts": row["order_attempts"] + 1},\n',
        without='                order={"attempts": row["order_attempts"]},\n',
    ),
    Mutant(
        name="the attempt is given back although it left",
        life="stream-down-and-throttled",
        module=f"{_EXECUTION}.domain.outcomes",
        safeguard='step=Step.WAIT, reason="VENUE_THROTTLED", after_secs=answer.after_secs',
        without='step=Step.GIVE_BACK, reason="VENUE_THROTTLED"',
    ),
    Mutant(
        name="terminal states do not absorb",
        life="an entry that fills while the cancel of another one takes long",
        module=f"{_EXECUTION}.adapters.sql.intent_writes",
        safeguard="            if before in TERMINAL:\n                return convert.intent_row(row)\n",
        without="            if before in TERMINAL:\n"
        "                return self._move(transaction, now, row, state, reason or None)\n",
    ),
    Mutant(
        name="old fences are not refused",
        life="paused-holder-keeps-its-watchers",
        module=f"{_EXECUTION}.adapters.sql.session",
        safeguard="        if epoch != self.header.epoch or not self.header.holder:",
        without="        if False:",
    ),
    Mutant(
        name="a successor forgets what was being sent",
        life="an entry that never arrives and expires",
        module=f"{_EXECUTION}.resolver",
        safeguard="        work = [intent for intent in asked if self._is_open_question(intent)]",
        without="        work = [intent for intent in asked if self._is_open_question(intent) and intent.attempts > 1]",
    ),
    Mutant(
        name="a stop is sold beside a sale",
        life="a sale by the clock whose commit nobody hears of",
        module=f"{_EXECUTION}.domain.exits",
        safeguard="        if order.phase is Phase.LIVE:\n            return ExitMove(step=ExitStep.CANCEL,",
        without="        if order.phase is Phase.LIVE and order.role is not Role.STOP:\n"
        "            return ExitMove(step=ExitStep.CANCEL,",
    ),
    Mutant(
        name="a sale is not bounded by the broker's position",
        life="replayed-fills",
        module=f"{_EXECUTION}.domain.exits",
        safeguard="    remainder = min(holding.quantity - left_to_parts, broker_quantity)",
        without="    remainder = holding.quantity + holding.quantity",
    ),
    Mutant(
        name="a refused sale does not arm the stop again",
        life="a sale that is refused as often as it is tried",
        module=f"{_EXECUTION}.domain.protection",
        safeguard="    if must_rearm(holding) and (holding.quantity > 0 or holding.of(*Role)):",
        without="    if False:",
    ),
    Mutant(
        name="a partial entry is left without a stop",
        life="warm-restart",
        module=f"{_EXECUTION}.domain.protection",
        safeguard="        if now >= due_at:\n            actions.append(Action(need=Need.CUT_ENTRY,",
        without="        if False:\n            actions.append(Action(need=Need.CUT_ENTRY,",
    ),
    Mutant(
        name="a stop keeps the part that is to be sold",
        life="the sale of a part while nobody hears of it",
        module=f"{_EXECUTION}.domain.views",
        safeguard="        return self.lot.tradable(max(self.quantity - reducing, ZERO))",
        without="        return self.lot.tradable(max(self.quantity - reducing * 0, ZERO))",
    ),
    Mutant(
        name="a sale of all waits for a part that nobody knows of",
        life="a sale of all while nobody knows of the sale of a part",
        module=f"{_EXECUTION}.domain.exits",
        safeguard="order.role not in (Role.STOP, Role.REDUCE):",
        without="order.role is not Role.STOP:",
    ),
    Mutant(
        name="a missing stop is not placed",
        life="a sale that is refused as often as it is tried",
        module=f"{_EXECUTION}.domain.protection",
        safeguard="    if covered < whole:",
        without="    if False:",
    ),
    Mutant(
        name="a stop whose outcome nobody knows is waited for",
        life="a stop that nobody knows of",
        module=f"{_EXECUTION}.domain.protection",
        safeguard="    if left_secs <= 0:",
        without="    if False:",
    ),
    Mutant(
        name="a fill is counted each time it is told",
        life="parts that are told twice",
        module=f"{_EXECUTION}.adapters.sql.fill_writes",
        safeguard="            known = self._rows(queries.FILLS_OF_ORDER, broker_order_id=fill.broker_order_id)\n",
        without="            known = list[dict[str, int]]()\n",
    ),
    Mutant(
        name="a total that was seen passes for counted",
        life="a part that nobody hears of",
        module=f"{_EXECUTION}.adoption",
        safeguard="    missing = order.filled_quantity > ledger.counted(order.order_id)\n",
        without="    seen = [leg.filled_quantity for leg in ledger.orders(row.intent_id)]\n"
        "    missing = order.filled_quantity > max(seen)\n",
    ),
    Mutant(
        name="a rejected replacement is the present order for ever",
        life="a replaced stop whose replacement is rejected later",
        module=f"{_EXECUTION}.adapters.sql.intent_writes",
        safeguard='                client_order_id=old["client_order_id"],\n',
        without='                client_order_id=row["client_order_id"],\n',
    ),
    Mutant(
        name="a replacement sells what the old stop has filled, too",
        life="a replaced stop that fills in part before its replacement",
        module=f"{_EXECUTION}.domain.replacements",
        safeguard="min(rest, left) if newer.quantity <= older.quantity else newer.quantity",
        without="newer.quantity",
    ),
    Mutant(
        name="nothing is merged after a reconnect",
        life="a fill while the stream is down",
        module=f"{_EXECUTION}.updates",
        safeguard='                await self._until_done("reconnect", progress)\n',
        without="",
    ),
    Mutant(
        name="calls go on after a 401",
        life="keys that are refused for a while",
        module=f"{_EXECUTION}.guard",
        safeguard="            if not self.shut:\n",
        without="            if False:\n",
    ),
    Mutant(
        name="a decision is taken anew when its cycle comes again",
        life="a cycle that comes twice",
        module=f"{_EXECUTION}.adapters.sql.intent_writes",
        safeguard="            fresh = [decision for decision in decisions if decision.signal_id not in stored]",
        without="            fresh = list(decisions)",
    ),
    Mutant(
        name="snapshots outlive the lease",
        life="paused-holder-keeps-its-watchers",
        module=f"{_EXECUTION}.snapshots",
        safeguard="        return self._books.version, self._books.locked_reason, self._books.tenure.epoch",
        without="        return self._books.version, self._books.locked_reason, 0",
    ),
    Mutant(
        name="limits forget the halts",
        life="a kill switch between a decision and its commit",
        module=f"{_EXECUTION}.domain.limits",
        safeguard="        yield self._locked_or_halted(decision)",
        without="        yield None",
    ),
    Mutant(
        name="a lease is taken without waiting for its holder",
        life="replayed-fills",
        module=f"{_EXECUTION}.lease",
        safeguard="        if row.holder and looked - self._seen_at < self._takeover_secs:",
        without="        if False:",
    ),
    Mutant(
        name="a refused entry is never given up",
        life="refusal-loop",
        module=f"{_EXECUTION}.domain.next_leg",
        safeguard="    if sends > max_retries:",
        without="    if False:",
    ),
    Mutant(
        name="an order that is unknown is still valid for ever",
        life="an entry that never arrives and expires",
        module=f"{_EXECUTION}.resolver",
        safeguard="            return intent.valid_until is None or self._books.now < intent.valid_until",
        without="            return True",
    ),
    Mutant(
        name="an entry works on when its cycle has expired",
        life="an entry in a halted market that expires",
        module=f"{_EXECUTION}.protector",
        safeguard="            if self._books.now >= ends_at:",
        without="            if False:",
    ),
    Mutant(
        name="the kill switch leaves working entries",
        life="a kill switch over an entry in a halted market",
        module=f"{_EXECUTION}.protector",
        safeguard="    halts = [halt for halt in mirror.halts if halt.kind == KILL_SWITCH]",
        without="    halts = list[HaltRow]()",
    ),
    Mutant(
        name="a fraction that is paid out to somebody else is ours",
        life="fraction-of-somebody-elses-shares-paid-out",
        module=f"{_EXECUTION}.adapters.sql.adjustment_writes",
        safeguard="fee.kind in (SPLIT, CASH_IN_LIEU)",
        without="fee.kind == SPLIT",
    ),
    Mutant(
        name="a cycle is let go when the gate does not answer",
        life="a cycle whose calls to the gate are lost",
        module=f"{_SCORING}.consumer",
        safeguard="                reason, wait_secs = error, max(delay_secs, error.after_secs)",
        without="                return gate_pb.EvaluateResponse()",
    ),
    Mutant(
        name="a cycle that comes again counts as decided",
        life="a cycle that scoring has in hand when it crashes",
        module=f"{_SCORING}.consumer",
        safeguard="        return wanted <= {decision.signal_id for decision in answer.decisions}",
        without="        return True",
    ),
)
