"""The execution service: the ledger and the broker session of one account. Wiring only."""

import os
import secrets
import socket
from functools import partial

from holdfast_catalogue.guard import stand_guard
from holdfast_execution.adapters.sql.address import follow
from holdfast_execution.adapters.sql.sql_ledger import open_ledger
from holdfast_execution.adapters.sql.writer import Writer
from holdfast_execution.assembly import assemble
from holdfast_execution.checks import checks
from holdfast_execution.engine import Loop
from holdfast_execution.relay import Relay
from holdfast_execution.watches import watches
from holdfast_runtime.ledger_halts import ledger_url
from holdfast_runtime.ports.calls import ExecutionCalls, PricesCalls
from holdfast_runtime.service import Shell, run
from holdfast_venue.factory import open_broker

BROKER_SHARE = 0.75
"""Of the venue's rate limit; reconciliation's client has the rest."""


def holder_name() -> str:
    """Names this process and no other, ever: a restarted one is somebody else."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


async def _run(shell: Shell, name: str, loop: Loop) -> None:
    await loop(shell.progress(name))


async def build(shell: Shell) -> None:
    settings, monotonic = shell.settings, shell.monotonic_clock
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    database, ledger = open_ledger(ledger_url(settings, shell.secrets), settings.account.id)
    follow(database, lambda: ledger_url(settings, shell.secrets))
    writer = Writer(ledger)
    await writer.start()
    parts = assemble(
        runner=writer,
        holder=holder_name(),
        broker=open_broker(settings, shell.secrets, monotonic_clock=monotonic, share=BROKER_SHARE),
        prices=shell.remote(PricesCalls, "signal"),
        market_clock=shell.market_clock,
        monotonic_clock=monotonic,
        activity=shell.activity,
        settings=settings,
    )
    engine, lease = parts.engine, parts.lease
    relay = Relay(runner=writer, bus=shell.bus, lease=lease, clock=monotonic)
    shell.serve(
        ExecutionCalls,
        parts.service,
        allow={
            "submit": {"gate"},
            "record_verdict": {"reconciliation"},
            "refresh": {"reconciliation"},
            "clear_halt": {"admin"},
            "claim_position": {"admin"},
            "watch_snapshot": {"gate"},
            "get_decisions": {"signal", "scoring", "operator"},
            "get_ledger": {"reconciliation", "admin", "operator"},
            "get_holder": {"reconciliation", "admin", "operator"},
            "list_strategies": {"admin", "operator"},
            "stop_strategy": {"admin"},
            "start_strategy": {"admin"},
        },
    )
    shell.takes_part_when(lambda: lease.is_holder)
    for name, loop in {**parts.loops, "relay": relay.run}.items():
        shell.loop(name, partial(_run, shell, name, loop))

    async def close() -> None:
        # Sends in flight end first, then the lease, so that a standby need not wait; the ledger last.
        await engine.stop()
        await lease.stop()
        await writer.close()
        database.close()

    shell.on_stop(close)
    stand_guard(
        shell,
        watches(engine, lease=lease, runner=writer, settings=settings, monotonic=monotonic),
        checks(shell, engine, lease),
    )


if __name__ == "__main__":
    run("execution", build)
