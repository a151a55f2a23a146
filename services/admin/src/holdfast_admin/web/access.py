"""Who may come in: the token, sessions of browsers, and the bound on guesses (SE-7)."""

import hmac
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import structlog

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.secrets import Secret
from holdfast_runtime.telemetry import metrics

MAX_SESSIONS = 64
IDLE_SECS = 1_800.0
"""A session that asked for nothing for so long is over; an open page asks every second."""
LIFETIME_SECS = 43_200.0
WINDOW_SECS = 60.0
FAILURES_PER_ADDRESS = 10
FAILURES_IN_ALL = 100
MAX_ADDRESSES = 1_024
MAX_TOKEN_CHARS = 512

log = structlog.get_logger()


class Verdict(Enum):
    """What became of a token that was shown."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LIMITED = "limited"


metrics.at_zero(metrics.ADMIN_LOGINS, (verdict.value for verdict in Verdict))


@dataclass(slots=True)
class Session:
    """A browser that is logged in."""

    who: str
    began_secs: float
    seen_secs: float


class Guesses:
    """Failures of the last minute, by address and in all. Bounded in both."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=FAILURES_IN_ALL)

    def failed(self, address: str) -> None:
        now_secs = self._clock.now_secs()
        self._all.append(now_secs)
        known = self._by_address.setdefault(address, deque(maxlen=FAILURES_PER_ADDRESS))
        known.append(now_secs)
        self._by_address.move_to_end(address)
        while len(self._by_address) > MAX_ADDRESSES:
            self._by_address.popitem(last=False)

    def wait_secs(self, address: str) -> float:
        """Seconds until this address may try again; 0: now."""
        waits = [_left(self._all, FAILURES_IN_ALL, self._clock.now_secs())]
        if known := self._by_address.get(address):
            waits.append(_left(known, FAILURES_PER_ADDRESS, self._clock.now_secs()))
        return max(waits)


def _left(failures: deque[float], allowed: int, now_secs: float) -> float:
    return max(0.0, failures[0] + WINDOW_SECS - now_secs) if len(failures) >= allowed else 0.0


class Access:
    """Tokens and sessions. `token` is asked for at each use, so that a rotated one counts at once."""

    def __init__(self, *, token: Callable[[], Secret], clock: MonotonicClock, new_id: Callable[[], str]) -> None:
        """`new_id` gives unguessable names for sessions."""
        self._token = token
        self._clock = clock
        self._new_id = new_id
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self.guesses = Guesses(clock)

    def check(self, given: str, remote: str) -> Verdict:
        """Compares in constant time; failures are counted, logged, and after too many nothing is compared any more."""
        if self.guesses.wait_secs(remote) > 0:
            verdict = Verdict.LIMITED
        elif len(given) <= MAX_TOKEN_CHARS and self._equal(given):
            verdict = Verdict.ACCEPTED
        else:
            verdict = Verdict.REFUSED
            self.guesses.failed(remote)
        metrics.ADMIN_LOGINS.labels(outcome=verdict.value).inc()
        if verdict is not Verdict.ACCEPTED:
            log.warning("admin.token_not_accepted", outcome=verdict.value, remote=remote)
        return verdict

    def _equal(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token().reveal().encode())

    def open_session(self, who: str) -> str:
        """A new session's id. The one unused for longest gives way to it where there are too many."""
        self._expire()
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.popitem(last=False)
        name, now_secs = self._new_id(), self._clock.now_secs()
        self._sessions[name] = Session(who, now_secs, now_secs)
        metrics.ADMIN_SESSIONS.set(len(self._sessions))
        return name

    def session(self, name: str | None) -> Session | None:
        """The session of that id, kept alive by being asked for; None where there is none any more."""
        self._expire()
        found = self._sessions.get(name) if name else None
        if found is not None and name is not None:
            found.seen_secs = self._clock.now_secs()
            self._sessions.move_to_end(name)
        return found

    def close_session(self, name: str | None) -> None:
        if name:
            self._sessions.pop(name, None)
        metrics.ADMIN_SESSIONS.set(len(self._sessions))

    def _expire(self) -> None:
        now_secs = self._clock.now_secs()
        over = [
            name
            for name, each in self._sessions.items()
            if now_secs - each.seen_secs > IDLE_SECS or now_secs - each.began_secs > LIFETIME_SECS
        ]
        for name in over:
            del self._sessions[name]
        if over:
            metrics.ADMIN_SESSIONS.set(len(self._sessions))
