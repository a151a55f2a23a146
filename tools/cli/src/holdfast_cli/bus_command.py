"""`holdfast bus apply`: the streams and buckets of a stack as the one table of them declares (IN-5)."""

import asyncio

from rich.console import Console
from rich.text import Text

from holdfast_cli.plan import OPERATOR
from holdfast_cli.stack_calls import StackFiles
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.certificates import Certificates
from holdfast_runtime.config import load_settings
from holdfast_runtime.errors import AskPerson, HoldfastError

TOKEN_OF_A_RUN = "secrets/execution/NATS_TOKEN"
EXIT_NOT_APPLIED = 1
ANSWER_SECS = 10.0


async def apply(files: StackFiles) -> list[str]:
    """Names of the streams that were missing. Raises BusMismatch naming what cannot be changed, Retry, GiveUp."""
    settings = load_settings(files.config, {}, None).bus
    token = files.config.parent / TOKEN_OF_A_RUN
    bus = NatsBus(
        url=settings.url,
        name=OPERATOR,
        replicas=settings.replicas,
        token=token.read_text() if token.is_file() else None,
        tls=Certificates(files.certificates, OPERATOR).client_context if settings.encrypted else None,
    )
    try:
        async with asyncio.timeout(ANSWER_SECS):
            await bus.link.open(lambda: None)
        return await bus.apply(update=True)
    finally:
        await bus.close()


def run(files: StackFiles, console: Console, errors: Console) -> int:
    """The exit code."""
    try:
        made = asyncio.run(apply(files))
    except (HoldfastError, TimeoutError) as error:
        steps = error.steps if isinstance(error, AskPerson) else ()
        told = str(error) or f"no bus within {ANSWER_SECS:.0f} s"
        errors.print(Text("\n  - ".join((f"holdfast: {told}", *steps))), soft_wrap=True)
        return EXIT_NOT_APPLIED
    console.print(Text(f"made: {', '.join(made)}" if made else "all streams and buckets are as declared"))
    return 0
