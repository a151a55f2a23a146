"""The sources beside Alpaca under faults: which requests are theirs, and errors in their own words (FP-1.5, CG-1)."""

import json
from collections.abc import Iterable

from holdfast_exchange.faults.scope import Endpoint
from holdfast_papermarket.faults.bodies import JSON, Body

SOURCES = {"unusualwhales": Endpoint.FLOW, "coinglass": Endpoint.INTELLIGENCE}
"""By the first part of their paths."""


def is_outside(path: str) -> bool:
    """True for a request that Alpaca has nothing to do with."""
    return path.strip("/").partition("/")[0] in SOURCES


def symbols_of(parts: Iterable[str], words: dict[str, list[str]], known: Iterable[str]) -> frozenset[str]:
    """The recorded symbols that a request names: a ticker in path or query, or the pair behind BTC or BTCUSDT."""
    named = {*parts, *(text for name in ("ticker_symbol", "symbol") for text in words.get(name, []))}
    named = {each.strip().upper() for text in named for each in text.split(",")}
    named |= {each.removesuffix("USDT") for each in named}
    return frozenset(symbol for symbol in known if symbol.partition("/")[0] in named)


def in_its_words(error: Body, endpoint: Endpoint | None) -> Body:
    """An error of Alpaca's form as the source would say it; a page of a gateway stays what it is."""
    if endpoint not in (Endpoint.FLOW, Endpoint.INTELLIGENCE) or not error.is_json:
        return error
    told = str(json.loads(error.content).get("message", ""))
    if endpoint is Endpoint.FLOW:
        return Body(error.status, json.dumps({"error": told}).encode(), [(b"content-type", JSON)])
    # HTTP says nothing: the code in the body does.
    code = "500" if error.status == 200 else str(error.status)
    return Body(200, json.dumps({"code": code, "msg": told}).encode(), [(b"content-type", JSON)])
