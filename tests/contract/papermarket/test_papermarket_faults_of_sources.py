"""Whatever a request can meet, the sources beside the broker meet too, one without the other (TS-3, FP-1.5, CG-1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from holdfast_exchange.faults.base import Area
from holdfast_exchange.faults.kinds import KINDS
from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.client import PATIENCE_SECS, headers
from tests.contract.papermarket.faulty import IMPATIENT, arm, fired


@dataclass(frozen=True, slots=True)
class Source:
    """One of the two, as its client asks it."""

    endpoint: str
    path: str
    keys: Callable[[str], dict[str, str]]

    async def ask(self, market: Embedded, timeout: httpx.Timeout | float = PATIENCE_SECS) -> httpx.Response:
        given = headers(market) if self.endpoint == "trading" else self.keys(market.keys.key)
        async with httpx.AsyncClient(base_url=market.url, headers=given, timeout=timeout) as client:
            return await client.get(self.path)


FLOW = Source("flow", "/unusualwhales/api/option-trades/flow-alerts", lambda key: {"Authorization": f"Bearer {key}"})
INTELLIGENCE = Source("intelligence", "/coinglass/api/futures/supported-coins", lambda key: {"CG-API-KEY": key})
TRADING = Source("trading", "/v2/account", lambda _: {})
SOURCES = pytest.mark.parametrize("source", [FLOW, INTELLIGENCE], ids=lambda source: source.endpoint)


async def the_others_are_well(market: Embedded, source: Source) -> None:
    for other in (FLOW, INTELLIGENCE, TRADING):
        if other is not source:
            answer = await other.ask(market)
            assert answer.status_code == 200
            assert other is TRADING or "data" in answer.json()
    assert fired(market) == 1


UNANSWERED: dict[str, tuple[dict[str, Any], type[httpx.TransportError]]] = {
    "latency": ({"ms": 5_000}, httpx.ReadTimeout),
    "no_answer": ({}, httpx.ReadTimeout),
    "truncated_body": ({}, httpx.RemoteProtocolError),
    "connection_reset": ({}, httpx.ReadError),
}
IN_ITS_WORDS = {
    401: "unauthorized.", 403: "forbidden.", 422: "unprocessable entity",
    429: "rate limit exceeded", 500: "internal server error occurred",
}  # fmt: skip


@SOURCES
@pytest.mark.parametrize("kind", UNANSWERED)
async def test_a_source_gives_no_whole_answer(market: Embedded, source: Source, kind: str) -> None:
    parameters, seen = UNANSWERED[kind]
    arm(market, kind, {"endpoint": source.endpoint}, **parameters)
    with pytest.raises(seen):
        await source.ask(market, IMPATIENT if seen is httpx.ReadTimeout else PATIENCE_SECS)
    await the_others_are_well(market, source)


@SOURCES
@pytest.mark.parametrize("status", IN_ITS_WORDS)
async def test_a_source_refuses_or_fails_in_its_own_words(market: Embedded, source: Source, status: int) -> None:
    """The derivatives source says so in the body alone: HTTP is 200."""
    arm(market, "http_error", {"endpoint": source.endpoint}, status=status, message=IN_ITS_WORDS[status])
    answer = await source.ask(market)
    if source is FLOW:
        assert (answer.status_code, answer.json()) == (status, {"error": IN_ITS_WORDS[status]})
    else:
        assert (answer.status_code, answer.json()) == (200, {"code": str(status), "msg": IN_ITS_WORDS[status]})
    await the_others_are_well(market, source)


@SOURCES
@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_before_a_source_answers_with_its_own_page(
    market: Embedded, source: Source, status: int
) -> None:
    arm(market, "http_error", {"endpoint": source.endpoint}, status=status)
    answer = await source.ask(market)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html")
    await the_others_are_well(market, source)


@SOURCES
async def test_a_source_gives_a_page_of_html(market: Embedded, source: Source) -> None:
    arm(market, "html_body", {"endpoint": source.endpoint})
    answer = await source.ask(market)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    await the_others_are_well(market, source)


@SOURCES
async def test_200_of_a_source_holds_an_error(market: Embedded, source: Source) -> None:
    arm(market, "error_body", {"endpoint": source.endpoint}, message="it broke")
    answer = await source.ask(market)
    told = {"error": "it broke"} if source is FLOW else {"code": "500", "msg": "it broke"}
    assert (answer.status_code, answer.json()) == (200, told)
    await the_others_are_well(market, source)


@SOURCES
async def test_an_answer_of_a_source_has_fields_nobody_knows(market: Embedded, source: Source) -> None:
    known = set((await source.ask(market)).json())
    arm(market, "unknown_fields", {"endpoint": source.endpoint})
    assert set((await source.ask(market)).json()) > known
    await the_others_are_well(market, source)


def test_no_kind_that_a_source_can_meet_is_left_out() -> None:
    can_meet = {word for word, kind in KINDS.items() if kind.area is Area.REQUEST and kind.place is None}
    assert can_meet | {"unknown_fields"} == {*UNANSWERED, "http_error", "html_body", "error_body", "unknown_fields"}
