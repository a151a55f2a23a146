"""The engine of one account: everything between the ledger and the broker, put together.

Three lanes (protective, entries, look-ups), the trade-updates stream, the stop monitor and the snapshots. They act only
under the lease, after the broker's word was taken over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from holdfast.gate.v1.gate_pb2 import Decision
from holdfast_execution.aborts import abort_unreadable
from holdfast_execution.adoption import Adopter
from holdfast_execution.books import Books, Mirror, Tenure
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.rates import ACCOUNT_WINDOW, EntryRates
from holdfast_execution.entries import EntryLane
from holdfast_execution.guard import GuardedBroker
from holdfast_execution.holdings import Holdings
from holdfast_execution.instruments import Instruments
from holdfast_execution.lanes import Lane, Rest
from holdfast_execution.ledger import LedgerRunner, StaleFence
from holdfast_execution.merge import Merger
from holdfast_execution.protector import Protector
from holdfast_execution.refusals import Refusals
from holdfast_execution.resolver import Resolver
from holdfast_execution.rows import HaltRow, IntentRow, LimitsCheck, NewIntent, StoredCycle
from holdfast_execution.sales import Hands
from holdfast_execution.sender import Sender
from holdfast_execution.snapshots import Snapshots
from holdfast_execution.stop_monitor import StopMonitor
from holdfast_execution.timed_trades import TimedTrades
from holdfast_execution.updates import STARTING, Updates
from holdfast_runtime.errors import AskBroker, AskPerson, HoldfastError, Refused, Retry
from holdfast_runtime.ledger_halts import CREDENTIALS
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.calls import PricesCalls
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.ports.venue import Broker, BrokerAsset, Unauthorised
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import metrics

log = structlog.get_logger()

T = TypeVar("T")
Loop = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs until cancelled, and calls what it was given once a turn."""

RETRY_SECS = 0.25
TURN_SECS = 1.0
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
LIVE_STEPS = (
    "Use the keys of the paper account, or",
    "set account.live: true in the configuration and start with --live.",
)


class Engine:
    """Built once per process; `loops` names what has to run."""

    def __init__(
        self,
        *,
        runner: LedgerRunner,
        tenure: Tenure,
        broker: Broker,
        prices: PricesCalls,
        market_clock: MarketClock,
        monotonic_clock: MonotonicClock,
        activity: Activity,
        settings: Settings,
    ) -> None:
        self._settings = settings
        self._market_clock = market_clock
        self._clock = monotonic_clock
        self._tenure = tenure
        self._refused = False
        self._halt_owed = False
        """The credentials' halt is not stored yet: without it nobody would know what to clear."""
        self._halting = asyncio.Lock()
        self._chores: set[asyncio.Task[Any]] = set()
        self.guard = GuardedBroker(broker)
        self.guard.on_refused = self._credentials_refused
        self.books = books = Books(runner, tenure=tenure, market_clock=market_clock, activity=activity)
        self._instruments = Instruments()
        adopter = Adopter(books, self.guard)
        self._rates = EntryRates(settings.gate.entries_per_minute)
        self._sender = Sender(
            books,
            self.guard,
            adopter,
            Refusals(books, self.guard, settings),
            self._rates,
            monotonic_clock=monotonic_clock,
            timeout_secs=settings.venue.timeout_secs,
        )
        self._resolver = Resolver(
            books, self.guard, adopter, self._sender, monotonic_clock=monotonic_clock, settings=settings.execution
        )
        self.merger = Merger(books, self.guard, adopter)
        self._monitor = StopMonitor(books, prices, monotonic_clock=monotonic_clock, settings=settings.feed)
        hands = Hands(books, self.guard, adopter, settings, self._instruments)
        protector = Protector(
            books,
            self.guard,
            self._sender,
            hands,
            Holdings(self._resolver, self._instruments),
            self._monitor,
            monotonic_clock=monotonic_clock,
            settings=settings.execution,
        )
        self.snapshots = Snapshots(books, market_clock=market_clock, monotonic_clock=monotonic_clock)
        self._updates = Updates(
            books, self.guard, self.merger, self._resolver, protector, monotonic_clock=monotonic_clock
        )
        self._protective = self._lane("protect", protector.turn)
        self._entry_lane = EntryLane(books, self._sender, hands, self._yield_to_protection)
        self._entries = self._lane("entries", self._entry_lane.turn)
        self._lookups = self._lane("look-ups", self._look_up)
        self._timed = TimedTrades(books, hands, settings.traded)
        self._by_the_clock = self._lane("timed-trades", self._timed.turn) if self._timed.any else None
        activity.settled_when(lambda: self.settled)
        # Asked for at each scrape: a holder whose beats do not commit is none any more, and is told by nobody.
        metrics.LEASE_HELD.labels(account=settings.account.id).set_function(lambda: float(tenure.is_holder))

    def _lane(self, name: str, turn: Callable[[Mirror], Awaitable[Rest]]) -> Lane:
        return Lane(name, self.books, turn, market_clock=self._market_clock, monotonic_clock=self._clock)

    @property
    def loops(self) -> dict[str, Loop]:
        """What has to run while the process lives, by name."""
        timed = {} if self._by_the_clock is None else {"timed-trades": self._by_the_clock.run}
        return {
            "account": self.run_account,
            "protect": self._protective.run,
            "entries": self._entries.run,
            "look-ups": self._lookups.run,
            "snapshots": self.snapshots.run,
            "prices": self._monitor.run,
            **timed,
        }

    @property
    def settled(self) -> bool:
        """Nothing in flight, nothing unresolved, nothing due, everything told."""
        return (
            self.books.settled
            and self._protective.idle
            and self._entries.idle
            and self._lookups.idle
            and (self._by_the_clock is None or self._by_the_clock.idle)
            and self.snapshots.settled
        )

    @property
    def stream_up(self) -> bool:
        """The trade-updates stream is there, and what was missed before it is merged."""
        return self._updates.up

    async def stop(self) -> None:
        """Lets sends in flight end and be written down."""
        self.books.working = False
        while self._chores:
            await asyncio.wait(set(self._chores))
        await self._sender.settle()

    # --- the lease

    async def on_acquired(self) -> None:
        """The lease is ours: entries are locked until the broker's word has been taken over."""
        metrics.LEASE_EPOCH.labels(account=self._settings.account.id).set(self._tenure.epoch)
        self.books.lock_entries(STARTING)
        self.books.pulse()

    async def on_lost(self) -> None:
        """Somebody else holds the lease: nothing here acts any more."""
        self.books.working = False
        self.books.pulse()

    async def on_halts(self, halts: list[HaltRow]) -> None:
        """Halts that admin has set: the lanes look again."""
        log.warning("halts.noticed", kinds=sorted({halt.kind for halt in halts}))
        self.books.pulse()

    # --- the broker session

    async def run_account(self, progress: Callable[[], None]) -> None:
        """Takes the broker's word over and follows its updates, whenever the lease is held."""
        await self._market_clock.sleep_until(BEFORE_ALL)
        while True:
            if not self._tenure.is_holder or self.guard.shut:
                if self._tenure.is_holder:
                    await self._look_at_credentials_halt()
                progress()
                await self._clock.sleep(RETRY_SECS)
                continue
            try:
                await self._prepare()
                await self._follow(progress)
            except Unauthorised:
                log.error("credentials.refused")
            except StaleFence:
                await self._tenure.lost()
            except (Retry, AskBroker, Refused) as error:
                log.warning("account.retried", error=str(error))
            progress()
            await self._clock.sleep(RETRY_SECS)

    async def _prepare(self) -> None:
        with self.books.activity.busy():
            self._refused = False
            self.books.lock_entries(STARTING)
            mirror = await self.books.look()
            if any(halt.kind == CREDENTIALS for halt in mirror.halts):
                self.guard.close()
            await self.books.write(abort_unreadable)
            account = await self.guard.account()
            if account.live and not self._settings.account.live:
                raise AskPerson("the credentials are a live account's: real money is behind it", steps=LIVE_STEPS)
            await self.books.write(lambda ledger, epoch, now: ledger.open_account(epoch, now, account.cash))
            await self._record_assets()
            await self._seed_rates()
            await self.merger.merge("start")
            await self._timed.begin()
            self.books.working = True
            self.books.pulse()

    async def _record_assets(self) -> None:
        symbols = sorted({symbol for strategy in self._settings.traded for symbol in strategy.symbols})
        assets: list[BrokerAsset] = []
        for symbol in symbols:
            asset = await self.guard.asset(symbol)
            if asset is None:
                log.warning(
                    "asset.unknown", symbol=symbol, step="the venue has no such symbol: no entry in it is allowed"
                )
                continue
            assets.append(asset)
        self._instruments.learn(assets)
        await self.books.write(lambda ledger, epoch, now: ledger.record_assets(epoch, now, assets))

    async def _seed_rates(self) -> None:
        """What this account sent in the last minute, before this process began."""
        since = self.books.now - ACCOUNT_WINDOW
        state = await self.books.read(lambda ledger: ledger.ledger_state(since))
        entries = [row for row in state.intents if row.purpose is Purpose.ENTRY and row.total_attempts]
        for row in sorted(entries, key=lambda each: each.created_at):
            if row.created_at > since:
                self._rates.sent(row.strategy, row.created_at)

    async def _follow(self, progress: Callable[[], None]) -> None:
        """Applies updates while the lease is held and the credentials stand."""
        following = asyncio.ensure_future(self._updates.run(progress))
        try:
            while not following.done():
                changed = asyncio.ensure_future(self.books.listen().wait())
                await asyncio.wait({following, changed}, timeout=TURN_SECS, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if not self._tenure.is_holder or self._refused:
                    return
            following.result()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    # --- the lanes

    async def _look_up(self, mirror: Mirror) -> Rest:
        asked = await self._resolver.turn(mirror)
        waits = self._resolver.waits_for_detail
        return Rest(did=asked, pending=waits, after_secs=self._resolver.next_wait_secs())

    # --- decisions

    async def store(
        self, strategy: str, decisions: Sequence[Decision], intents: Mapping[str, NewIntent], check: LimitsCheck
    ) -> StoredCycle:
        """Stores a batch. An entry of it that may leave at once is claimed by the same commit and sent beside the
        answer: nobody waits for a POST. A caller that goes away stops nothing. Raises as `Ledger.store_cycle`."""
        return await asyncio.shield(self._start(self._store(strategy, decisions, intents, check)))

    async def _store(
        self, strategy: str, decisions: Sequence[Decision], intents: Mapping[str, NewIntent], check: LimitsCheck
    ) -> StoredCycle:
        if not (intents and await self._reserve(strategy)):
            return await self.books.write(
                lambda ledger, epoch, now: ledger.store_cycle(epoch, now, decisions, intents, check)
            )
        claimed: IntentRow | None = None
        self.books.hold_back()
        try:
            stored = await self.books.write(
                lambda ledger, epoch, now: ledger.store_cycle(epoch, now, decisions, intents, check, claim=True)
            )
            claimed = stored.claimed
            return stored
        finally:
            self.books.let_go()
            if claimed is not None:
                self._start(self._follow_up(self._entry_lane.send_claimed(claimed)))
            else:
                self._entry_lane.give_back()

    async def _reserve(self, strategy: str) -> bool:
        if self.guard.shut or not self.books.working or not self._protective.idle:
            return False
        mirror = await self.books.look()
        return not _sale_waits(mirror) and self._entry_lane.reserve(strategy, mirror)

    async def _follow_up(self, sending: Awaitable[None]) -> None:
        """As a lane does: what could not be written down stays as it is, and the look-ups ask for it."""
        with self.books.activity.busy():
            try:
                await sending
            except StaleFence as error:
                log.warning("entry.lease_lost", error=str(error))
                await self._tenure.lost()
            except (Retry, AskBroker, Refused) as error:
                log.warning("entry.send_not_recorded", error=str(error))

    def _start(self, chore: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task that nobody has to wait for."""
        task = asyncio.ensure_future(chore)
        self._chores.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, chore: "asyncio.Task[Any]") -> None:
        self._chores.discard(chore)
        error = None if chore.cancelled() else chore.exception()
        if error is not None and not isinstance(error, HoldfastError):
            log.error("engine.chore_failed", exc_info=error)

    async def _yield_to_protection(self, at_most_secs: float) -> None:
        """What reduces risk goes first: the protective lane at rest, no sale waiting for its handover."""
        if self._protective.idle and not _sale_waits(await self.books.look()):
            return
        bound = asyncio.ensure_future(self._clock.sleep(at_most_secs))
        try:
            while not bound.done():
                changed = self.books.listen()
                await self._protective.quiet(at_most_secs=at_most_secs)
                if not _sale_waits(await self.books.look()):
                    return
                waiting = asyncio.ensure_future(changed.wait())
                await asyncio.wait({bound, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        finally:
            bound.cancel()

    # --- credentials

    def credentials_cleared(self) -> None:
        """A person says that the credentials are good, changed or not."""
        self._halt_owed = False
        self.guard.vouch_for_credentials()
        self.books.pulse()

    def _credentials_refused(self) -> None:
        """Told once, in the middle of a broker call: the halt is written beside it."""
        self.books.working = False
        # A person may clear the halt before this session is seen to have ended: it ends all the same.
        self._refused = True
        self._halt_owed = True
        self._start(self._record_credentials_halt())

    async def _record_credentials_halt(self) -> None:
        with self.books.activity.busy():
            async with self._halting:
                if not self._halt_owed:
                    return
                try:
                    await self.books.write(
                        lambda ledger, epoch, now: ledger.add_halt(
                            epoch, now, CREDENTIALS, "the broker answered 401: no call until the credentials change"
                        )
                    )
                    self._halt_owed = False
                except (Retry, Refused, StaleFence) as error:
                    log.error("credentials.halt_not_stored", error=str(error))

    async def _look_at_credentials_halt(self) -> None:
        """While the door is shut: the halt is stored where that failed; where it is gone, a person has cleared it, and
        only this process has not heard so (the commit's answer was lost)."""
        if self._halt_owed:
            await self._record_credentials_halt()
            return
        try:
            halts = await self.books.read(lambda ledger: ledger.halts())
        except Retry:
            return
        if self.guard.shut and not self._halt_owed and all(halt.kind != CREDENTIALS for halt in halts):
            log.warning("credentials.halt_is_gone")
            self.credentials_cleared()


def _sale_waits(mirror: Mirror) -> bool:
    return any(intent.state is IntentState.PENDING and intent.purpose is not Purpose.ENTRY for intent in mirror.loose)
