"""papermarket's OpenAPI page: every route has its parameters, its answer and its refusals, and needs no other host."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_papermarket.embedded import embedded
from holdfast_papermarket.published.endpoints import ENDPOINTS, endpoint_of
from holdfast_papermarket.published.kinds import examine
from holdfast_papermarket.published.outside_endpoints import OUTSIDE, outside_endpoint_of
from holdfast_papermarket.published.trading import Clock

METHODS = ("get", "post", "patch", "put", "delete")


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    recorded = recordings.load(default_folder_of("equity"))
    async with (
        embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08") as market,
        httpx.AsyncClient(base_url=market.url, timeout=30) as client,
    ):
        yield client


async def test_every_endpoint_is_described_with_parameters_answer_and_refusals(
    pages: httpx.AsyncClient,
) -> None:
    api = (await pages.get("/openapi.json")).json()
    described = 0
    for path, operations in api["paths"].items():
        for method in (each for each in METHODS if each in operations):
            operation = operations[method]
            assert operation["summary"], path
            place = re.sub(r"\{\w+\}", "x", path)
            endpoint = endpoint_of(method.upper(), place) or outside_endpoint_of(method.upper(), place)
            assert endpoint is not None, f"{method} {path} is served, but not described"
            described += 1
            assert {each["name"] for each in operation["parameters"] if each["in"] == "query"} == {
                each.name for each in endpoint.query
            }
            assert set(operation["responses"]) == {str(each) for each in (endpoint.status, *endpoint.statuses)}
            answered = operation["responses"][str(endpoint.status)]
            assert ("content" in answered) is (endpoint.answer is not None)
    assert described == len(ENDPOINTS) + len(OUTSIDE)


async def test_every_reference_of_the_description_leads_to_an_object(pages: httpx.AsyncClient) -> None:
    api = (await pages.get("/openapi.json")).json()
    schemas = api["components"]["schemas"]

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return found.union(*(references(each) for each in value.values()))
        return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()

    named = {reference.rsplit("/", 1)[-1] for reference in references(api)}
    assert named <= set(schemas)
    assert {"Order", "Position", "Account", "Asset", "ErrorBody", "StockBars", "CryptoBars"} <= named


async def test_the_page_needs_no_script_and_no_other_host(pages: httpx.AsyncClient) -> None:
    answer = await pages.get("/docs")
    assert answer.status_code == 200
    assert "/v2/orders" in answer.text
    assert "<script" not in answer.text
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//", answer.text) == []
    links = set(re.findall(r'href="#(\w+)"', answer.text))
    assert links <= set(re.findall(r'id="(\w+)"', answer.text))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('{"timestamp":"2013-10-08","is_open":true,"next_open":"NOW","next_close":"NOW"}', "timestamp"),
        ('{"timestamp":"NOW","is_open":"true","next_open":"NOW","next_close":"NOW"}', "is_open"),
        ('{"timestamp":"NOW","is_open":true,"next_open":"2013-10-08T13:30:00","next_close":"NOW"}', "next_open"),
        ('{"timestamp":"NOW","is_open":true,"next_open":"NOW"}', "next_close"),
    ],
)
def test_a_wrong_type_format_or_absent_field_is_a_fault(body: str, fault: str) -> None:
    found = examine(Clock, body.replace("NOW", "2013-10-08T13:30:00.5Z"))
    assert [each.split(":")[0] for each in found.faults] == [fault]


def test_an_unpublished_field_is_told_and_no_fault() -> None:
    now = '"2013-10-08T09:30:00-04:00"'
    found = examine(Clock, f'{{"timestamp":{now},"is_open":true,"next_open":{now},"next_close":{now},"phase":"x"}}')
    assert (found.faults, found.unknown) == ([], {"Clock.phase"})
