"""Where the suite's account is: papermarket, or with `HOLDFAST_CONTRACT_VENUE=alpaca` Alpaca.

Never a live account: the only hosts that are accepted are Alpaca's paper host and this machine (for trying the switch).
"""

import os
from urllib.parse import urlsplit

VENUE = "HOLDFAST_CONTRACT_VENUE"
KEY, SECRET = "ALPACA_API_KEY", "ALPACA_SECRET_KEY"
PAPER_URL, DATA_URL = "ALPACA_PAPER_URL", "ALPACA_DATA_URL"
PAPER, DATA = "https://paper-api.alpaca.markets", "https://data.alpaca.markets"
DATA_STREAM = "wss://stream.data.alpaca.markets"
HERE = ("127.0.0.1", "localhost", "::1")


class RefusedHost(Exception):
    """The suite sends orders: it does so to a paper account only."""


def accept(url: str, *, published: str) -> str:
    """`url`, where it is the published paper (or data) host, or on this machine. Raises RefusedHost."""
    found = urlsplit(url)
    if url == published or (found.hostname in HERE and not found.username and found.path in ("", "/")):
        return url.rstrip("/")
    raise RefusedHost(f"{url} is neither {published} nor on this machine")


def trading_url() -> str:
    """Raises RefusedHost."""
    return accept(os.environ.get(PAPER_URL, PAPER), published=PAPER)


def data_url() -> str:
    """Raises RefusedHost."""
    return accept(os.environ.get(DATA_URL, DATA), published=DATA)


def is_real() -> bool:
    return os.environ.get(VENUE) == "alpaca"
