"""The checks that services share, made from what the shell gives. Each names the edge it looks at."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

from holdfast_catalogue.doctor.checks import Check, Result, Verdict, doubtful, red, well
from holdfast_catalogue.machine import Room
from holdfast_runtime.errors import Retry
from holdfast_runtime.ledger_probe import LedgerLook

ANSWER_SECS = 4.0
"""Of one try: a handshake on a machine that is very busy takes its time, and a door that is shut answers at once."""
COLLECTOR_SECS = 3.0
TRIES = 2
"""A peer that is just being restarted is asked once more."""
SKEW_TO_WARN, SKEW_TO_REFUSE = timedelta(seconds=1), timedelta(seconds=5)
CERTIFICATE_TO_WARN, CERTIFICATE_TO_REFUSE = timedelta(days=7), timedelta(days=1)
SECRET_TO_WARN = timedelta(days=90)
NO_ROOM_BYTES = 256 * 1024**2
MIB = 1024**2

Skew: TypeAlias = timedelta | None
"""By how much another clock is ahead of ours; None where there is none."""


class Survey(Protocol):
    """What of holdfast_runtime.bus.provision.Survey is needed."""

    @property
    def looked_at(self) -> int: ...

    @property
    def troubles(self) -> tuple[str, ...]: ...

    @property
    def skew(self) -> timedelta: ...


def peer(service: str, ask: Callable[[], Awaitable[bool]]) -> Check:
    """A service that this one calls, over mutual TLS and under its own identity."""

    async def look() -> Result:
        for left in range(TRIES - 1, -1, -1):
            try:
                serves = await ask()
            except Retry:
                if not left:
                    raise
            else:
                return well("it answers") if serves else doubtful("it answers, and says that it is not ready")
        raise AssertionError("unreachable")

    return Check(
        name=f"call {service}",
        look=look,
        steps=(
            f"Look whether {service} runs and is ready.",
            "Look whether a network policy or a firewall lets this service reach it.",
            "Look whether both certificates are of the same authority and not over.",
        ),
        deadline_secs=ANSWER_SECS * TRIES,
    )


def bus(survey: Callable[[], Awaitable[Survey]]) -> Check:
    """The bus with its streams and buckets (IN-5), and its clock beside ours."""

    async def look() -> Result:
        seen = await survey()
        if seen.troubles:
            return red("; ".join(seen.troubles))
        return of_skew(seen.skew, f"{seen.looked_at} streams and buckets are as declared; the server's clock")

    return Check(
        name="bus",
        look=look,
        steps=(
            "Look whether NATS runs, and whether its address is right and this service may log in.",
            "Make missing streams again, or change them: `holdfast bus apply`.",
        ),
    )


_CLOCK_STEPS = ("Look whether time synchronisation (NTP) runs on this machine and on the other.",)


def of_skew(skew: timedelta, whose: str) -> Result:
    """The verdict on a difference of clocks. Positive: the other one is ahead."""
    secs = skew.total_seconds()
    text = f"{whose} is {abs(secs):.2f} s {'ahead' if secs >= 0 else 'behind'}"
    if abs(skew) >= SKEW_TO_REFUSE:
        return red(text, *_CLOCK_STEPS)
    return doubtful(text, *_CLOCK_STEPS) if abs(skew) >= SKEW_TO_WARN else well(text)


_STANDBY_STEPS = (
    "Name a synchronous standby in synchronous_standby_names (docs/fail-over.md): a lost commit is a second order.",
    "Where its storage is itself replicated before a commit is acknowledged, as of some managed ones, leave it.",
)
_COMMIT_STEPS = ("Set synchronous_commit to on for this role and database: a lost commit is a second order.",)


def ledger(look: Callable[[], LedgerLook], *, live: bool) -> Check:
    """The ledger's database, on a connection of its own. `look` blocks. `live`: its commits stand for real money."""

    async def check() -> Result:
        seen = await asyncio.to_thread(look)
        if not seen.commits_at_once:
            return red(f"{seen.engine} acknowledges what is not on its disk (synchronous_commit)", *_COMMIT_STEPS)
        answers = f"{seen.engine} answers"
        clock = well(answers) if seen.skew is None else of_skew(seen.skew, f"{answers}: its clock")
        if clock.verdict is Verdict.OK and live and not seen.standby:
            return doubtful(f"{answers}, but waits for no synchronous standby", *_STANDBY_STEPS)
        return clock

    return Check(
        name="ledger",
        look=check,
        steps=(
            "Look whether the database runs, and whether this service can reach it.",
            "Look whether the secret LEDGER_URL holds the present address and password.",
        ),
    )


def certificate(ends: Callable[[], Mapping[str, datetime]], now: Callable[[], datetime]) -> Check:
    """The certificates that are mounted now. `ends`: when each is over, by its name (SE-1)."""

    def look() -> Result:
        name, end = min(ends().items(), key=lambda each: each[1])
        left = end - now()
        text = f"{name} is over on {end:%Y-%m-%d}, in {left.days} days"
        if left < CERTIFICATE_TO_REFUSE:
            return red(text)
        return doubtful(text) if left < CERTIFICATE_TO_WARN else well(text)

    return Check(
        name="certificate",
        look=look,
        steps=("Issue new certificates; services take them over without a restart.",),
    )


def secrets(changed_at: Callable[[], Mapping[str, datetime]], now: Callable[[], datetime]) -> Check:
    """The age of mounted secrets. In a cluster a file is as old as its pod: that is the least the secret can be."""

    def look() -> Result:
        ages = {name: now() - at for name, at in changed_at().items()}
        if not ages:
            return well("no secret is mounted as a file")
        name, age = max(ages.items(), key=lambda each: each[1])
        text = f"{name} has not changed for {age.days} days"
        return doubtful(text) if age >= SECRET_TO_WARN else well(text)

    return Check(
        name="secrets",
        look=look,
        steps=("Make new keys where they are issued, and put them into the secret; no restart is needed.",),
    )


def disk(room: Callable[[], Room]) -> Check:
    """Room and right to write where the state is kept."""

    def look() -> Result:
        found = room()
        text = f"{found.free_bytes // MIB:,} MiB free"
        if not found.writable:
            return red("it cannot be written to")
        if found.free_bytes < NO_ROOM_BYTES:
            return red(text)
        return doubtful(text) if found.low else well(text)

    return Check(name="disk", look=look, steps=("Free space, or give the folder back to the service's user.",))


def collector(url: str) -> Check:
    """The way to where traces go, as far as the door of http(s)://host[:port]/…. Never RED: trading needs no traces."""
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)

    async def look() -> Result:
        try:
            async with asyncio.timeout(COLLECTOR_SECS):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            return doubtful(f"{host}:{port} cannot be reached, and spans are dropped: {error or 'no answer'}")
        writer.close()
        return well(f"{host}:{port} takes connections")

    return Check(
        name="collector",
        look=look,
        steps=(
            "Look whether the collector of telemetry.otlp_endpoint runs.",
            "In a cluster: whether networkPolicy.collector of the chart's values lets this service reach it.",
        ),
    )
