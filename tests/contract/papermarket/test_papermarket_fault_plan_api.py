"""The fault plan over papermarket's own API: authenticated, typed, counted (TS-3)."""

from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.faulty import Json, rest

PATH = "/papermarket/v1/faults"
SLOW: Json = {"id": "slow", "kind": "latency", "ms": 1.0}
BROKEN: Json = {"id": "broken", "kind": "http_error", "status": 500, "scope": {"endpoint": "clock", "at_most": 1}}


async def test_a_plan_is_put_seen_added_to_and_taken_away(market: Embedded) -> None:
    async with rest(market) as client:
        assert (await client.get(PATH)).json() == {"seed": 0, "faults": [], "counters": []}
        put = (await client.put(PATH, json={"seed": 3, "faults": [SLOW]})).json()
        assert (put["seed"], put["faults"]) == (3, [SLOW])
        await client.post(PATH, json=BROKEN)
        assert [(await client.get("/v2/clock")).status_code for _ in range(2)] == [500, 200]
        counted = (await client.get(PATH)).json()["counters"]
        assert counted == [
            {"id": "slow", "kind": "latency", "seen": 2, "fired": 2},
            {"id": "broken", "kind": "http_error", "seen": 1, "fired": 1},
        ]
        assert (await client.get("/papermarket/v1/status")).json()["faults"] == counted
        left = (await client.delete(f"{PATH}/slow")).json()
        assert [each["id"] for each in left["counters"]] == ["broken"]
        assert left["counters"][0]["fired"] == 1, "what stays keeps its counters"
        assert (await client.delete(PATH)).json()["faults"] == []
        assert (await client.delete(f"{PATH}/slow")).status_code == 404


async def test_a_wrong_plan_is_refused_with_its_sentences_and_changes_nothing(market: Embedded) -> None:
    async with rest(market) as client:
        await client.put(PATH, json={"faults": [SLOW]})
        wrong = {"faults": [{"id": "a", "kind": "latncy"}, {"id": "b", "kind": "halt", "secs": -1}]}
        answered = await client.put(PATH, json=wrong)
        assert answered.status_code == 422
        assert answered.json()["problems"] == [
            "faults.0.kind: 'latncy' is not allowed; did you mean latency?",
            "faults.1.secs: -1 is not allowed; allowed: a number above 0 up to 86400",
        ]
        assert (await client.post(PATH, content=b"{")).status_code == 400
        unknown = {"id": "c", "kind": "halt", "scope": {"symbol": "NONE"}}
        for answered in (await client.post(PATH, json=unknown), await client.put(PATH, json={"faults": [unknown]})):
            assert answered.status_code == 422
            assert "'NONE' is not allowed; allowed: a recorded symbol" in answered.json()["problems"][0]
        assert [each["id"] for each in (await client.get(PATH)).json()["faults"]] == ["slow"]


async def test_only_the_accounts_keys_may_change_the_plan(market: Embedded) -> None:
    async with rest(market) as client:
        client.headers["APCA-API-SECRET-KEY"] = "wrong"
        for method, path in (("GET", PATH), ("PUT", PATH), ("POST", PATH), ("DELETE", PATH), ("DELETE", f"{PATH}/x")):
            assert (await client.request(method, path, json={"faults": []})).status_code == 401, method
