"""`make contract-alpaca` itself: it needs keys, refuses a live host, and runs the suite through the same switch."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.contract.alpaca import hosts
from tests.contract.alpaca.account import PaperAccount, ask
from tests.contract.alpaca.hosts import DATA_URL, KEY, PAPER, PAPER_URL, SECRET, VENUE, RefusedHost, accept

RUN = Path(__file__).parent / "run.py"
pytestmark = pytest.mark.skipif(hosts.is_real(), reason="it starts the suite")


async def start(*arguments: str, **changes: str) -> tuple[int, str]:
    mine = (KEY, SECRET, VENUE, PAPER_URL, DATA_URL)
    environment = {name: value for name, value in os.environ.items() if name not in mine}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(RUN),
        *arguments,
        env=environment | changes,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(200):
        told, _ = await process.communicate()
    return int(process.returncode or 0), told.decode()


async def test_without_keys_it_says_which_and_fails() -> None:
    code, told = await start()
    assert (code, KEY in told, SECRET in told) == (2, True, True)
    code, told = await start(**{KEY: "a-key"})
    assert (code, f"set {SECRET} to" in told) == (2, True)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.alpaca.markets",
        "https://paper-api.alpaca.markets@api.alpaca.markets",
        "https://paper-api.alpaca.markets.example.org",
        "https://example.org/paper-api.alpaca.markets",
        "http://paper-api.alpaca.markets",
        "http://user:word@127.0.0.1:8000",
        "paper-api.alpaca.markets",
    ],
)
async def test_any_host_but_the_paper_one_is_refused(url: str) -> None:
    with pytest.raises(RefusedHost):
        accept(url, published=PAPER)


async def test_a_live_host_is_refused_before_anything_is_sent() -> None:
    live = {KEY: "a-key", SECRET: "a-secret", PAPER_URL: "https://api.alpaca.markets"}
    code, told = await start(**live)
    assert (code, "to a paper account only" in told, "a-secret" in told) == (2, True, False)


async def test_the_suite_passes_through_the_switch_and_leaves_nothing_behind(account: PaperAccount) -> None:
    """papermarket in Alpaca's place."""
    venue = {KEY: account.key, SECRET: account.secret, PAPER_URL: account.url, DATA_URL: account.url}
    code, told = await start("-p", "no:cacheprovider", **venue)
    assert code == 0, told
    assert "passed" in told
    assert "needs a replay" in told
    assert await ask(account.trading.get_orders) == []
