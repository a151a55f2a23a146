"""The exchange with its journal and its listeners: what a command has done is durable before anybody hears of it."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from holdfast_exchange.commands import Advance, Cancel, Command, Replace, Submit, decode, encode
from holdfast_exchange.exchange import Exchange, Outcome
from holdfast_exchange.holds import EVERYTHING, Step
from holdfast_exchange.orders import NewOrder, Order, Replacement, Update
from holdfast_exchange.replay import Replay
from holdfast_exchange.venue_commands import Hold
from holdfast_papermarket.data_feed import (
    CHANNELS,
    DataItem,
    Feed,
    channels_of,
    halts_between,
    items_at,
    statuses_of,
    wants,
)
from holdfast_papermarket.faults.carried_out import VenueFaults
from holdfast_papermarket.hubs import Connection, Hub
from holdfast_runtime.errors import AskPerson


class Journal(Protocol):
    """Where commands are kept."""

    lines: list[str]

    def append(self, line: str) -> None:
        """Returns when the line is durable."""


class PaperVenue:
    """One account on one replay. Everything that changes it goes through here."""

    def __init__(self, exchange: Exchange, replay: Replay, journal: Journal, *, resend_on_subscribe: bool) -> None:
        """Takes the commands of `journal` again, so that a killed venue comes back exactly as it was.

        `resend_on_subscribe`: a new data connection is sent the newest instant's data again. Lock-step needs it: a tick
        whose data was lost with a connection would otherwise be settled without it.
        """
        self.exchange = exchange
        self.replay = replay
        self.ended = False
        self.failure: AskPerson | None = None
        """Set when it can no longer keep its promise: it must stop."""
        self.failed_requests = 0
        """Requests that ended in an exception nobody expected (HTTP 500)."""
        self.changed: Callable[[], None] = lambda: None
        """Called after everything that a waiting tick may depend on."""
        self.market_now: Callable[[], datetime] = lambda: exchange.now
        """Present market time: the tick's, or running with the wall."""
        self.data: Hub[DataItem] = Hub(self._change, limit=1)
        """Stocks; pairs have a stream and a connection of their own."""
        self.crypto_data: Hub[DataItem] = Hub(self._change, limit=1)
        self.hubs = {Feed.STOCKS: self.data, Feed.CRYPTO: self.crypto_data}
        self.feeds = frozenset(feed for feed in Feed if any(feed.has(symbol) for symbol in exchange.market.symbols))
        """The data streams that must be listened to before a lock-step goes on."""
        self.updates: Hub[Update] = Hub(self._change, limit=1)
        self.faults = VenueFaults(exchange, self._command, lambda: self.market_now())
        self.faults.between(self.updates, self.hubs.values())
        self._journal = journal
        self._resend = resend_on_subscribe
        for line in journal.lines:
            self._take(decode(line))
        self._halts = self._halted()

    def count_failed(self) -> None:
        self.failed_requests += 1

    def _change(self) -> None:
        self.changed()

    def submit(self, order: NewOrder) -> Order:
        """Raises Refusal."""
        outcome = self._command(Submit(self.market_now(), order))
        assert outcome.order is not None
        return outcome.order

    def cancel(self, order_id: str) -> None:
        """Raises Refusal."""
        self._command(Cancel(self.market_now(), order_id))

    def replace(self, order_id: str, change: Replacement) -> Order:
        """Raises Refusal."""
        outcome = self._command(Replace(self.market_now(), order_id, change))
        assert outcome.order is not None
        return outcome.order

    def carry_out(self, command: Command) -> Outcome:
        """Takes any other command. Raises Refusal."""
        return self._command(command)

    def hold(self, step: Step, secs: Decimal, symbol: str = EVERYTHING) -> None:
        """From now on the venue takes `secs` of market time over a step with `symbol`; zero: none."""
        self._command(Hold(self.market_now(), step, secs, symbol))

    def advance(self, number: int, at: datetime, *, data: bool) -> None:
        """Moves market time to tick `number`; with `data` the recording is visible up to there and orders match."""
        if data:
            self.faults.before_data(at)
        self._command(Advance(number, at, data))
        self.updates.turn(at, _everything)
        for hub in self.hubs.values():
            hub.turn(at, wants)
        if data:
            for feed, hub in self.hubs.items():
                items = items_at(self.exchange.market, feed, channels_of(hub.connections))
                hub.publish(self.faults.told(items), wants)

    @property
    def data_sent(self) -> int | None:
        """Items sent on the present connections of all `feeds`; None where one of them has no listener."""
        sent = [self.hubs[feed].sent for feed in self.feeds]
        known = [count for count in sent if count is not None]
        return sum(known) if len(known) == len(sent) else None

    def subscribe(self, connection: Connection[DataItem], symbols: frozenset[str], feed: Feed = Feed.STOCKS) -> None:
        """Sets what a data connection wants: `quotes:SPY`, `bars:*` …"""
        first = not connection.listening
        connection.symbols, connection.listening = symbols, True
        if first and self._resend:
            newest = self.faults.told(items_at(self.exchange.market, feed, CHANNELS[feed]))
            # Whoever was away may have missed a halt or its end.
            halts = self.exchange.disturbances.halts
            newest = [*statuses_of(halts, self._halts, self.exchange.now, self._symbols(feed)), *newest]
            if chosen := [item for item in newest if wants(connection, item)]:
                connection.send(chosen)
        self._change()

    def state(self) -> dict[str, Any]:
        """For comparing a restored venue with the one that was killed."""
        return self.exchange.state() | {"ended": self.ended}

    def _command(self, command: Command) -> Outcome:
        if self.failure is not None:
            raise self.failure
        outcome = self._take(command)
        try:
            self._journal.append(encode(command))
        except OSError as error:
            # In memory it has happened and on disk it has not: nothing that follows could be believed.
            self.failure = AskPerson(
                f"the journal cannot be written: {error}",
                steps=("Make room on the disk of the state folder.", "Start the run again: it goes on from there."),
            )
            self._change()
            raise self.failure from error
        if outcome.updates:
            self.updates.publish(outcome.updates, _everything)
            self.faults.after_updates(outcome.updates)
        self._tell_halts()
        return outcome

    def _tell_halts(self) -> None:
        """A halt that began or ended with the last command goes to whoever has subscribed to statuses."""
        before, self._halts = self._halts, self._halted()
        if before != self._halts:
            for feed, hub in self.hubs.items():
                hub.publish(halts_between(before, self._halts, self.exchange.now, self._symbols(feed)), wants)

    def _halted(self) -> dict[str, datetime]:
        return self.exchange.disturbances.halts_at(self.exchange.now)

    def _symbols(self, feed: Feed) -> list[str]:
        return [symbol for symbol in self.exchange.market.symbols if feed.has(symbol)]

    def _take(self, command: Command) -> Outcome:
        before = self.exchange.market.released
        outcome = self.exchange.apply(command)
        if isinstance(command, Advance):
            # The tick after the last data instant says that the recording has ended.
            self.ended = not command.data and before >= self.replay.end
        return outcome


def _everything(_connection: object, _update: object) -> bool:
    return True
