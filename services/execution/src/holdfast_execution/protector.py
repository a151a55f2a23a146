"""The protective lane: keeps every held quantity protected, and hands exits over. It never waits for entries.

One serial loop for everything that reduces risk at the broker: cancels, stops, sales.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from holdfast_core import sessions
from holdfast_core.money import ZERO
from holdfast_execution.aborts import abort
from holdfast_execution.books import Books, Mirror
from holdfast_execution.broker_hours import BrokerHours
from holdfast_execution.domain import protection
from holdfast_execution.domain.exits import BROKER_HOLDS_NOTHING, ExitStep, next_move
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.outcomes import FollowUp, Step
from holdfast_execution.domain.protection import Action, Need, Rules, Watch
from holdfast_execution.domain.strategies import STOPPED
from holdfast_execution.domain.views import HoldingView, OrderView, Owner, Phase, Role, rank
from holdfast_execution.extensions import Extensions
from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_execution.holdings import MONITOR_REASON, THROUGH_PRICE, Holdings
from holdfast_execution.lanes import Rest
from holdfast_execution.reductions import Reductions, ends_of
from holdfast_execution.resting import Resting
from holdfast_execution.rows import MAX_SENDS, ClaimRefused, IntentRow, PositionRow
from holdfast_execution.sales import Hands
from holdfast_execution.sender import Sender, Sent, is_working
from holdfast_execution.stop_monitor import StopMonitor
from holdfast_execution.unsold import Unsold
from holdfast_execution.waiting import IDLE_TURN_SECS, Backoffs
from holdfast_runtime.ledger_halts import KILL_SWITCH
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Broker, Unauthorised
from holdfast_runtime.settings import ExecutionSettings
from holdfast_runtime.telemetry import traces

log = structlog.get_logger()

ENTRY_LINGER = timedelta(seconds=5)
"""An entry that still works so long after `valid_until` is cancelled: entries are short-lived by themselves."""
MAX_EXIT_LEGS = 4
"""Refused legs of one scheduled sale; then the stop owns the exit again."""
REPLACING = frozenset({Need.EXTEND_STOP, Need.SHRINK_STOP})
FAILURES_TO_GO_ON = 5
"""After so many failures of one symbol, or replacements of one stop, in a row market time no longer waits for it."""


class Protector:
    """Decides by the pure rules and acts, symbol by symbol in their order, one step of each a turn."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        sender: Sender,
        hands: Hands,
        holdings: Holdings,
        monitor: StopMonitor,
        *,
        monotonic_clock: MonotonicClock,
        settings: ExecutionSettings,
    ) -> None:
        self._books = books
        self._broker = broker
        self._sender = sender
        self._hands = hands
        self._holdings = holdings
        self._monitor = monitor
        self._clock = monotonic_clock
        self._bound = timedelta(seconds=settings.protection_bound_secs)
        self._rules = Rules(
            partial_entry=timedelta(seconds=settings.partial_entry_secs),
            unknown_stop_secs=settings.protection_bound_secs,
            sweep_before_close=timedelta(seconds=settings.stop_sweep_before_close_secs),
        )
        self._backoffs = Backoffs(monotonic_clock, first_secs=settings.lookup_backoff_secs)
        self._extensions = Extensions(hands, monotonic_clock, first_secs=settings.lookup_backoff_secs)
        self._unsold = Unsold(broker, monotonic_clock, first_secs=settings.lookup_backoff_secs)
        self._reductions = Reductions(
            books, broker, sender, hands, holdings, self._wait, clock=monotonic_clock, settings=settings
        )
        self._unfinished: set[str] = set()
        """Symbols whose last step ended by an error that nobody expects."""
        self._ahead: list[datetime] = []
        self._wait_secs = IDLE_TURN_SECS
        self._pending = False
        self._resting = Resting()
        self._market_hours = BrokerHours(books, broker)

    def nudge(self) -> None:
        """The broker can be reached again: nothing that reduces risk waits for what failed while it was away."""
        self._backoffs.clear()
        for hand in (self._extensions, self._unsold, self._reductions):
            hand.nudge()

    async def turn(self, mirror: Mirror) -> Rest:
        """One pass over everything that is held or open."""
        self._ahead, self._wait_secs, self._pending = [], IDLE_TURN_SECS, False
        self._holdings.forget(mirror)
        self._extensions.forget(mirror.by_id)
        did = False
        awake = self._resting.awake(mirror, self._books.now)
        # Nobody's protection waits behind what ends the whole turn.
        for symbol in sorted(awake, key=self._unfinished.__contains__):
            known_ahead = len(self._ahead)
            wait_secs = self._backoffs.wait_secs(symbol)
            if wait_secs > 0 and not _barred(mirror.of_symbol(symbol), mirror):
                self._wait(wait_secs, self._backoffs.failures(symbol))
                # What cannot be done now hides nothing: the ledger says how the position stands.
                did = (
                    await self._note_protection(self._holdings.of(symbol, mirror), mirror.positions.get(symbol)) or did
                )
                continue
            self._unfinished.add(symbol)
            try:
                holding = self._holdings.of(symbol, mirror)
                done = await self._step(holding, mirror)
                done = done or await self._note_protection(holding, mirror.positions.get(symbol))
                if not done:
                    self._resting.let_rest(symbol, mirror, min(self._ahead[known_ahead:], default=None))
                did = done or did
            except Unauthorised:
                self._unfinished.discard(symbol)
                return Rest()
            except NO_GOOD_ANSWER as error:
                log.warning("protection.retried", symbol=symbol, error=str(error))
                self._backoffs.failed(symbol)
                self._wait(self._backoffs.wait_secs(symbol), self._backoffs.failures(symbol))
            self._unfinished.discard(symbol)
        if (end := self._resting.first_end) is not None:
            self._ahead.append(end)
        return Rest(did=did, pending=self._pending, after_secs=self._wait_secs, at=min(self._ahead, default=None))

    def _wait(self, secs: float, failures: int) -> None:
        """Monotonic time has to pass. What fails for ever is retried for ever, but holds a replay up no longer."""
        self._wait_secs = min(self._wait_secs, secs)
        self._pending = self._pending or failures <= FAILURES_TO_GO_ON

    async def _step(self, holding: HoldingView, mirror: Mirror) -> bool:
        """One step for one symbol; True where something was done."""
        intents = {intent.intent_id: intent for intent in mirror.of_symbol(holding.symbol)}
        if await self._withdraw_entries(intents, mirror):
            return True
        sales = [order for order in holding.of(Role.EXIT, Role.FLATTEN) if order.phase is Phase.PENDING]
        if sales:
            first = min(sales, key=lambda each: (rank(each.owner or Owner.EXIT), each.intent_id))
            if not await self._waits_for_open(holding, first):
                return await self._hand_over(holding, first, intents)
        elif self._judge(holding, mirror) is Watch.SELL:
            stops = [order for order in holding.of(Role.STOP) if order.phase is Phase.LIVE and not order.dormant]
            await self._sell_unless_moved(holding.symbol, MONITOR_REASON, [intents[order.intent_id] for order in stops])
            return True
        self._ahead += ends_of(intents.values())
        if await self._reductions.drop(holding, mirror) or await self._protect(holding, intents):
            return True
        for order in holding.of(Role.STOP):
            if order.phase is Phase.PENDING and holding.owner is Owner.STOP:
                if holding.stop_price == order.stop_price:
                    return await self._send_stop(holding, intents[order.intent_id])
                # A split came between: the next one asks for the price in new shares.
                await self._hands.drop(order.intent_id, "STOP_PRICE_CHANGED")
                return True
        # A part that its stop has given up is bare until the broker has its sale: the ledger says so before.
        noted = await self._note_protection(holding, mirror.positions.get(holding.symbol))
        return noted or await self._reductions.send(holding, mirror)

    def _judge(self, holding: HoldingView, mirror: Mirror) -> Watch:
        position = mirror.positions.get(holding.symbol)
        verdict, due_at = self._monitor.judge(holding, position, now=self._books.now, bound=self._bound)
        if due_at is not None and verdict is Watch.WAIT:
            self._ahead.append(due_at)
        return verdict

    async def _sell_unless_moved(self, symbol: str, reason: str, stops: Sequence[IntentRow]) -> None:
        """A split moves the broker's stop together with the prices, and its news may have been lost: the broker is
        asked before anything is sold for a price (invariant 9)."""
        before = self._holdings.of(symbol, await self._books.look())
        await self._hands.hear_of_moves(symbol, stops)
        after = self._holdings.of(symbol, await self._books.look())
        if (after.quantity, after.stop_price) == (before.quantity, before.stop_price):
            await self._hands.sell(symbol, Purpose.FLATTEN, reason)
        else:
            log.warning("protection.stop_moved", symbol=symbol, stop_price=str(after.stop_price), reason=reason)

    # --- entries that must not work any longer

    async def _withdraw_entries(self, intents: dict[str, IntentRow], mirror: Mirror) -> bool:
        for intent, reason in _barred(intents.values(), mirror):
            await self._hands.cancel(intent, reason)
            return True
        for intent in intents.values():
            if intent.purpose is not Purpose.ENTRY or not is_working(intent) or intent.valid_until is None:
                continue
            ends_at = intent.valid_until + ENTRY_LINGER
            if self._books.now >= ends_at:
                await self._hands.cancel(intent, "CYCLE_EXPIRED")
                return True
            self._ahead.append(ends_at)
        return False

    # --- the exit handover

    async def _waits_for_open(self, holding: HoldingView, sale: OrderView) -> bool:
        """True where the stop must not be given up yet: the market is closed. Asked before the handover begins."""
        if holding.book != "equity" or not holding.quantity or holding.owner is (sale.owner or Owner.EXIT):
            return False
        ask_at = await self._market_hours.closed_until(holding.symbol)
        if ask_at is None:
            return False
        self._ahead.append(ask_at)
        return True

    async def _hand_over(self, holding: HoldingView, order: OrderView, intents: dict[str, IntentRow]) -> bool:
        wanted = order.owner or Owner.EXIT
        intent = intents[order.intent_id]
        move = next_move(holding, order, wanted, broker_quantity=None, given_up=self._given_up(holding))
        with (
            self._books.activity.busy(),
            traces.span(
                "execution.exit", parent=intent.traceparent, intent_id=intent.intent_id, symbol=holding.symbol
            ) as span,
        ):
            span.set(step=move.step.value, reason=move.reason)
            match move.step:
                case ExitStep.STORE_OWNER:
                    await self._own(holding.symbol, wanted)
                case ExitStep.DROP_UNSENT:
                    await self._hands.drop(move.intent_id, move.reason)
                case ExitStep.CANCEL:
                    await self._hands.cancel(intents[move.intent_id], move.reason)
                case ExitStep.YIELD | ExitStep.NOTHING_HELD:
                    await self._hands.drop(intent.intent_id, move.reason)
                case ExitStep.READ_POSITION:
                    # The stop is down from here on: the ledger says so before the broker is asked.
                    await self._note_protection(holding, self._books.last_seen.positions.get(holding.symbol))
                    await self._read_and_sell(holding.symbol, intent)
                case _:
                    return False
        return True

    async def _read_and_sell(self, symbol: str, intent: IntentRow) -> None:
        """The broker's own position bounds the sale; the ledger is looked at once more, for what came meanwhile."""
        held = {position.symbol: position.quantity for position in await self._broker.positions()}
        mirror = await self._books.look()
        holding = self._holdings.of(symbol, mirror)
        order = next((each for each in holding.orders if each.intent_id == intent.intent_id), None)
        if order is None or order.phase is not Phase.PENDING:
            return
        move = next_move(
            holding,
            order,
            order.owner or Owner.EXIT,
            broker_quantity=held.get(symbol, ZERO),
            given_up=self._given_up(holding),
        )
        if move.reason == BROKER_HOLDS_NOTHING:
            # One of the two is behind: the sale waits until they agree, instead of ending and beginning again for ever.
            log.error("exit.broker_holds_nothing", symbol=symbol, ledger=str(holding.quantity))
            self._backoffs.failed(symbol)
        elif move.step is ExitStep.NOTHING_HELD:
            await self._hands.drop(intent.intent_id, move.reason)
        elif move.step is ExitStep.SELL and move.quantity != intent.leg_quantity:
            await self._hands.sell_again(intent, move.quantity)
        elif move.step is ExitStep.SELL and await self._send_sale(symbol, intent) and move.rest:
            await self._hands.sell_rest(intent)

    def _given_up(self, holding: HoldingView) -> set[str]:
        return protection.given_up(holding, self._rules, now_secs=self._clock.now_secs())

    async def _send_sale(self, symbol: str, intent: IntentRow) -> bool:
        """False where nothing left, or the broker has refused it."""
        sent = await self._sender.send(intent)
        if sent.outcome is None or sent.outcome.step is not Step.REJECT:
            if sent.refused:
                self._backoffs.failed(symbol)
            else:
                self._backoffs.succeeded(symbol)
            return not sent.refused
        self._backoffs.failed(symbol)
        if intent.purpose is Purpose.FLATTEN and sent.outcome.follow_up is not FollowUp.HANDOVER:
            await self._give_alarm(sent.intent)
        if intent.purpose is Purpose.FLATTEN or sent.intent.leg < MAX_EXIT_LEGS:
            # The handover begins again for the next leg; until then the stop is down, at most for the backoff.
            await self._hands.sell_again(intent, intent.leg_quantity)
        return False

    async def _give_alarm(self, sale: IntentRow) -> None:
        """A protective sale that the broker goes on refusing: a person has to look, while it is tried on (SQ-7)."""
        if sale.total_attempts < MAX_SENDS:
            return
        log.error("exit.refused", symbol=sale.symbol, sends=sale.total_attempts, reason=sale.reason)
        await self._books.write(partial(abort, intent=sale, reason="PROTECTIVE_SALE_REFUSED"))

    async def _own(self, symbol: str, owner: Owner) -> None:
        await self._books.write(lambda ledger, epoch, now: ledger.set_exit_owner(epoch, now, symbol, owner.value))

    # --- protection

    async def _protect(self, holding: HoldingView, intents: dict[str, IntentRow]) -> bool:
        # Only shares have stops for the day, which a close would end.
        session = sessions.session_at(self._books.now) if holding.book == "equity" else None
        actions = protection.due(
            holding,
            self._rules,
            now=self._books.now,
            now_secs=self._clock.now_secs(),
            closes_at=session.close if session is not None else None,
        )
        for action in actions:
            if action.need is Need.LOOK_AGAIN:
                if action.at is not None:
                    self._ahead.append(action.at)
                if action.after_secs:
                    self._wait(action.after_secs, self._backoffs.failures(holding.symbol))
                continue
            if action.need in REPLACING and (secs := self._extensions.wait_secs(action.intent_id)):
                self._wait(secs, self._extensions.asked(action.intent_id))
                continue
            if action.need is Need.PLACE_STOP and (secs := self._unsold.wait_secs(holding.symbol)):
                self._wait(secs, self._unsold.failures(holding.symbol))
                continue
            with self._books.activity.busy():
                await self._act(holding, action, intents)
            return True
        return False

    async def _act(self, holding: HoldingView, action: Action, intents: dict[str, IntentRow]) -> None:
        log.info("protection.due", symbol=holding.symbol, need=action.need.value, reason=action.reason)
        match action.need:
            case Need.PLACE_STOP:
                refused = self._backoffs.failures(holding.symbol) > 0
                quantity = min(action.quantity, await self._unsold.of(holding, refused=refused))
                if quantity <= 0:
                    return
                stop = await self._hands.place_stop(holding.symbol, quantity, action.price)
                if stop is not None and stop.state is IntentState.PENDING:
                    await self._send_stop(holding, stop)
            case Need.CANCEL | Need.CUT_ENTRY:
                await self._hands.cancel(intents[action.intent_id], action.reason)
            case Need.DROP_UNSENT:
                await self._hands.drop(action.intent_id, action.reason)
            case Need.EXTEND_STOP:
                await self._extensions.ask(intents[action.intent_id])
            case Need.SHRINK_STOP:
                await self._extensions.shrink(intents[action.intent_id], action.quantity)
            case Need.FLATTEN:
                await self._hands.sell(holding.symbol, Purpose.FLATTEN, action.reason)
            case Need.REARM:
                await self._own(holding.symbol, Owner.STOP)

    async def _send_stop(self, holding: HoldingView, stop: IntentRow) -> bool:
        with traces.span(
            "execution.protect", parent=stop.traceparent, intent_id=stop.intent_id, symbol=stop.symbol
        ) as span:
            sent = await self._sender.send(stop)
            span.set(state=sent.intent.state.value)
        await self._after_stop(holding.symbol, sent)
        return True

    async def _after_stop(self, symbol: str, sent: Sent) -> None:
        if sent.refused or (sent.outcome is not None and sent.outcome.step is Step.REJECT):
            # Protection has unlimited legs, with backoff and an alert.
            self._backoffs.failed(symbol)
            log.error("protection.refused", symbol=symbol, reason=sent.refused or sent.intent.reason)
        else:
            self._backoffs.succeeded(symbol)
        if sent.outcome is not None and sent.outcome.follow_up is FollowUp.FLATTEN:
            await self._sell_unless_moved(symbol, THROUGH_PRICE, [])
            self._backoffs.succeeded(symbol)

    async def _note_protection(self, holding: HoldingView, position: PositionRow | None) -> bool:
        if position is None:
            return False
        word, covered = protection.standing(holding)
        price = holding.stop_price if holding.quantity > 0 else None
        if (position.protection, position.stop_quantity, position.stop_price) == (word, covered, price):
            return False
        try:
            await self._books.write(
                lambda ledger, epoch, now: ledger.set_protection(
                    epoch, now, holding.symbol, word, stop_price=price, stop_quantity=covered
                )
            )
        except ClaimRefused as refusal:
            log.info("protection.not_noted", symbol=holding.symbol, reason=refusal.reason)
            return False
        return True


def _barred(intents: Iterable[IntentRow], mirror: Mirror) -> list[tuple[IntentRow, str]]:
    """Working entries that a kill switch covers, or whose strategy runs no longer, with the reason: no pause after a
    failure holds their cancel up."""
    halts = [halt for halt in mirror.halts if halt.kind == KILL_SWITCH]
    stopped = mirror.not_running
    if not (halts or stopped):
        return []
    working = [intent for intent in intents if intent.purpose is Purpose.ENTRY and is_working(intent)]
    killed = [intent for intent in working if any(halt.covers(intent.symbol, intent.strategy) for halt in halts)]
    return [(intent, "KILL_SWITCH_ENGAGED") for intent in killed] + [
        (intent, STOPPED) for intent in working if intent.strategy in stopped
    ]
