"""A fault plan is understood exactly or refused with sentences; chance repeats; the docs are the code's."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast_exchange.faults import chance, docs
from holdfast_exchange.faults.board import FaultBoard
from holdfast_exchange.faults.kinds import KINDS
from holdfast_exchange.faults.plan import PlanRefused, as_text, fault_from, from_text, from_tree, load
from holdfast_exchange.faults.scope import Call, Endpoint
from holdfast_exchange.orders import Side

ROOT = Path(__file__).parents[3]
NOW = datetime(2013, 10, 8, 14, 0, tzinfo=UTC)
NEEDED: dict[str, dict[str, Any]] = {"http_error": {"status": 500}}


def refusal(tree: object) -> tuple[str, ...]:
    with pytest.raises(PlanRefused) as error:
        from_tree(tree)
    return error.value.problems


def one(**fault: Any) -> dict[str, Any]:
    return {"faults": [{"id": "a", **fault}]}


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ([], "the plan is []; allowed: a table with `seed` and `faults`"),
        ({"faultz": []}, "faultz: unknown key; known here: seed, faults"),
        ({"seed": -1}, "seed: -1 is not allowed; allowed: an integer from 0 to 9223372036854775807"),
        ({"seed": True}, "seed: true is not allowed; allowed: an integer from 0 to 9223372036854775807"),
        ({"faults": {}}, "faults: {} is not allowed; allowed: a list of at most 200 tables"),
        (one(kind="latncy"), "faults.0.kind: 'latncy' is not allowed; did you mean latency?"),
        (one(kind="latency", max_m=1), "faults.0.max_m: unknown key; did you mean max_ms?"),
        (one(kind="latency", ms="slow"), "faults.0.ms: 'slow' is not allowed; allowed: a number from 0 to 120000"),
        (one(kind="latency", ms=True), "faults.0.ms: true is not allowed; allowed: a number from 0 to 120000"),
        (one(kind="halt", secs=0), "faults.0.secs: 0 is not allowed; allowed: a number above 0 up to 86400"),
        (one(kind="http_error"), "faults.0.status: missing; needed: one of 401, 403, 422, 429, 500, 502, 503, 504"),
        (
            one(kind="http_error", status=418),
            "faults.0.status: 418 is not allowed; allowed: one of 401, 403, 422, 429, 500, 502, 503, 504",
        ),
        (
            one(kind="http_error", status=401, when="after_accept"),
            "faults.0: is refused: status 401 refuses: when must be before_accept",
        ),
        (
            one(kind="late_accept", late_secs=61),
            "faults.0.late_secs: 61 is not allowed; allowed: a number above 0 up to 60",
        ),
        (
            one(kind="latency", shape="random", ms=9, max_ms=3),
            "faults.0: is refused: max_ms, 3, is below ms, 9",
        ),
        (
            one(kind="split_overnight"),
            "faults.0: is refused: scope.symbol is missing; split_overnight happens to one symbol",
        ),
        (one(kind="position_differs", by=0, scope={"symbol": "SPY"}), "faults.0: is refused: by must not be 0"),
        (
            one(kind="halt", scope={"endpoint": "orders"}),
            (
                "faults.0: is refused: scope.endpoint means nothing to halt; "
                "allowed in its scope: symbol, nth, since, until, probability, at_most"
            ),
        ),
        (
            one(kind="late_accept", scope={"endpoint": "flow"}),
            "faults.0: is refused: scope.endpoint, flow, never meets late_accept; allowed: orders.submit",
        ),
        (
            one(kind="cancel_refused", scope={"endpoint": "orders.submit"}),
            "faults.0: is refused: scope.endpoint, orders.submit, never meets cancel_refused; allowed: orders.cancel",
        ),
        (
            one(kind="latency", scope={"probability": 1.5}),
            "faults.0.scope.probability: 1.5 is not allowed; allowed: a number above 0 up to 1",
        ),
        (
            one(kind="latency", scope={"since": "2013-10-08"}),
            (
                "faults.0.scope.since: '2013-10-08' is not allowed; "
                "allowed: an instant with its time zone: 2013-10-08T13:30:00Z"
            ),
        ),
        (
            one(kind="latency", scope={"nth": [0]}),
            "faults.0.scope: is refused: nth counts calls from 1: allowed: a list of integers from 1",
        ),
        (one(kind="latency", scope={"symbl": "SPY"}), "faults.0.scope.symbl: unknown key; did you mean symbol?"),
    ],
    ids=str,
)
def test_a_wrong_plan_is_refused_with_key_value_and_what_is_allowed(tree: object, sentence: str) -> None:
    assert refusal(tree) == (sentence,)


def test_every_mistake_has_its_sentence() -> None:
    assert len(refusal({"seed": -1, "x": 1, "faults": [{"id": "A!", "kind": "halt", "secs": -1}, 5]})) == 5


def test_an_id_stands_once() -> None:
    twice = [{"id": "a", "kind": "halt"}, {"id": "a", "kind": "latency"}]
    assert refusal({"faults": twice}) == ("faults.1.id: 'a' is not allowed; allowed: an id that stands once",)


@pytest.mark.parametrize("word", KINDS)
def test_every_kind_is_read_back_as_it_was_written(word: str) -> None:
    tree = {"id": "a", "kind": word, "scope": {"symbol": "SPY", "nth": [2], "at_most": 3}} | NEEDED.get(word, {})
    plan = from_tree({"seed": 5, "faults": [tree]})
    assert plan.faults[0].kind == word
    assert from_text(as_text(plan)) == plan


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    toml, yaml = tmp_path / "plan.toml", tmp_path / "plan.yaml"
    toml.write_text('seed = 1\n[[faults]]\nid = "a"\nkind = "halt"\nscope = { since = 2013-10-08T14:00:00Z }\n')
    yaml.write_text("seed: 1\nfaults:\n  - {id: a, kind: halt, scope: {since: 2013-10-08T14:00:00Z}}\n")
    assert load(toml) == load(yaml)
    yaml.write_text("faults: [")
    with pytest.raises(PlanRefused, match=r"plan\.yaml: line 1"):
        load(yaml)
    with pytest.raises(PlanRefused, match="cannot be read: No such file"):
        load(tmp_path / "missing.toml")


def test_the_example_of_the_docs_is_understood() -> None:
    assert [each.id for each in load(ROOT / "docs/faults-example.toml").faults] == [
        "answers-lost",
        "slow",
        "in-part",
        "told-twice",
        "halt",
    ]


def test_the_page_is_of_the_code() -> None:
    assert (ROOT / "docs/faults.md").read_text() == docs.page(), "make docs"
    assert all(f"\n### {word}\n" in docs.page() and f"{word}: " in docs.plain_table() for word in KINDS)


def test_counts_chance_and_bounds() -> None:
    call = Call(at=NOW, endpoint=Endpoint.ORDERS_SUBMIT, symbols=frozenset({"SPY"}), side=Side.BUY)
    asked = {"id": "a", "kind": "latency", "scope": {"probability": 0.3, "at_most": 5}}
    runs = []
    for seed in (1, 1, 2):
        board = FaultBoard(from_tree({"seed": seed, "faults": [asked]}))
        runs.append([board.fires(board.plan.faults[0], call) for _ in range(100)])
        assert board.tallies["a"].fired == 5
    assert runs[0] == runs[1] != runs[2], "a seed repeats, another one does not"
    third = FaultBoard(from_tree(one(kind="latency", scope={"nth": [3]})))
    assert [third.fires(third.plan.faults[0], call) for _ in range(4)] == [False, False, True, False]
    market = FaultBoard(from_tree(one(kind="halt")))
    assert [market.fires(market.plan.faults[0], call) for _ in range(2)] == [True, False], "once, if nothing is said"


def test_a_plan_that_changes_keeps_the_counters_of_what_stays() -> None:
    call = Call(at=NOW)
    stays, goes = {"id": "a", "kind": "latency"}, {"id": "b", "kind": "latency"}
    board = FaultBoard(from_tree({"faults": [stays, goes]}))
    assert all(board.fires(each, call) for each in board.plan.faults)
    board.arm(from_tree({"faults": [stays, goes | {"ms": 5}]}))
    assert [board.tallies[each].fired for each in ("a", "b")] == [1, 0]


def test_latencies_are_drawn_within_their_bounds() -> None:
    flat = [chance.between(10, 20, 7, "a", number) for number in range(2_000)]
    assert min(flat) >= 10
    assert max(flat) < 20
    assert 14.5 < sum(flat) / len(flat) < 15.5
    heavy = sorted(chance.heavy_tail(10, 1.5, 5_000, 7, "a", number) for number in range(2_000))
    assert heavy[0] >= 10
    assert heavy[-1] <= 5_000
    assert heavy[1_000] < 20, "mostly fast"
    assert heavy[-20] > 150, "sometimes very slow"


def test_a_fault_alone_is_read_as_in_a_plan() -> None:
    fault = fault_from(json.loads('{"id": "a", "kind": "halt", "scope": {"symbol": "BTC/USD"}}'))
    assert fault.scope.symbol == "BTC/USD"
