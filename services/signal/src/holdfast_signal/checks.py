"""Signal's edges."""

from collections.abc import Sequence
from functools import partial

from holdfast_catalogue.doctor import venue
from holdfast_catalogue.doctor.checks import Check
from holdfast_catalogue.doctor.of_shell import call
from holdfast_runtime.service import Shell
from holdfast_runtime.settings import Book
from holdfast_signal.feed import FeedReader
from holdfast_venue.access import Access
from holdfast_venue.factory import access_of, feed_to_examine


def checks(shell: Shell, readers: Sequence[FeedReader]) -> list[Check]:
    """The ledger's owner, and for each book its market data: REST with the keys, and the stream that is held."""
    found = [call(shell, "execution")]
    access = access_of(shell.secrets)
    for reader in readers:
        found.append(venue.market_data(reader.name, partial(_ask_for_quotes, shell, access, reader)))
        found.append(venue.stream(f"stream {reader.name}", partial(_connected, reader)))
    return found


def _connected(reader: FeedReader) -> bool:
    return reader.connected


async def _ask_for_quotes(shell: Shell, access: Access, reader: FeedReader) -> None:
    async with feed_to_examine(
        shell.settings,
        shell.secrets,
        access=access,
        market_clock=shell.market_clock,
        monotonic_clock=shell.monotonic_clock,
        book=Book(reader.name),
    ) as feed:
        await feed.latest_quotes(reader.symbols[:1])
