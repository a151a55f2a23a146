"""The bus goes over to a new certificate, and to a new authority, without losing a message (SE-1)."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.bus.permissions import DUTIES
from holdfast_runtime.certificates import Certificates
from holdfast_runtime.identity import Authority, Identity
from holdfast_scoring.consumer import CONSUMER
from tests.contract.bus_backends import eventually, working
from tests.contract.secured_nats import SecuredNats

BATCH = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SecuredNats]:
    found = SecuredNats(tmp_path)
    found.start()
    yield found
    found.stop()


async def published(bus: NatsBus, step: str) -> list[str]:
    """A batch one after the other, so that some of it falls into whatever happens beside it."""
    found = [f"{step}-{number:03}" for number in range(BATCH)]
    for each in found:
        await bus.publish("cycles.v1.sma", each.encode(), message_id=each)
    return found


async def test_a_new_authority_loses_no_message_and_the_old_one_is_nobody_after_it(server: SecuredNats) -> None:
    """In the steps of `holdfast certificates`: both are trusted, the new one issues, the old one is forgotten."""
    held = {name: Certificates(server.certificates, name) for name in ("signal", "scoring")}
    async with server.bus("signal", held["signal"]) as signal, server.bus("scoring", held["scoring"]) as scoring:
        for name, bus in (("signal", signal), ("scoring", scoring)):

            async def renewed(_identity: Identity, bus: NatsBus = bus) -> None:
                await bus.renew()

            held[name].use(renewed)

        async def refresh() -> None:
            for each in held.values():
                assert await each.refresh(now=datetime.now(UTC))
                assert each.kept == ""

        async with working(scoring, CONSUMER) as worker:
            sent = await published(signal, "before")
            old, new = server.authority, Authority(now=datetime.now(UTC))
            for step, issuer, trusted in (
                ("both-trusted", None, (old, new)),
                ("new-issues", new, (new, old)),
                ("old-forgotten", None, (new,)),
            ):
                if issuer is not None:
                    issuer.write(server.certificates, [*DUTIES, "nats"])
                server.trust(*trusted)
                await server.reload()
                _, more = await asyncio.gather(refresh(), published(signal, step))
                sent += more
            await eventually(lambda: set(worker.ids()) == set(sent))
        assert worker.ids() == sent
        assert signal.link.epoch == scoring.link.epoch == 4
        # Restarted, the server trusts the new one alone: everybody finds it again by himself.
        await asyncio.to_thread(server.stop)
        server.start()
        await eventually(lambda: signal.link.epoch == scoring.link.epoch == 5)
        await published(signal, "after")


async def test_a_certificate_that_the_server_refuses_is_not_gone_over_to(server: SecuredNats) -> None:
    held = Certificates(server.certificates, "signal")
    async with server.bus("signal", held) as signal:
        await published(signal, "before")

        async def renewed(_identity: Identity) -> None:
            await signal.renew()

        held.use(renewed)
        stranger = Authority(now=datetime.now(UTC))
        # Trusted by signal, not by the server, which has not read its file again.
        stranger.write(server.certificates, ["signal"])
        server.trust(stranger, server.authority)
        assert await held.refresh(now=datetime.now(UTC))
        assert "refuses" in held.kept
        assert signal.link.epoch == 1
        await published(signal, "meanwhile")
        await server.reload()
        await held.refresh(now=datetime.now(UTC))
        assert held.kept == ""
        assert signal.link.epoch == 2
        await published(signal, "after")
