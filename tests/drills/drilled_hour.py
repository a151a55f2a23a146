"""A recorded hour under a plan of faults, and all that it has told: the ledger's log, the services' logs, alerts.

Four strategies, each with a symbol of its own, so that each can meet a fault of its own. Undisturbed they enter at
13:43 (BAC), 13:46 (SPY), 13:47 (IBM) and 13:49 (AIG) UTC and leave within minutes; at 14:15, 14:16 and 14:17 the first
three enter again.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_runtime.ledger_halts import from_micros
from holdfast_runtime.telemetry.trace_file import TraceFiles
from tests.integration.stack import Stack, eventually, running
from tests.integration.visitor import admin, bus_of, http, report_of

HOUR = ("--from", "2013-10-08T13:40:00Z", "--to", "2013-10-08T14:40:00Z")
DAY = "2013-10-08T"
ALERTS = "alerts.v1."
ALERTED_WITHIN_SECS = 90.0
BEFORE, AFTER = "before_accept", "after_accept"
HUNG_SECS = 60.0
"""Longer than any client waits."""

BAC_ENTRY = "bac.BAC.20131008T134300Z.ENTER_LONG/entry"
SPY_ENTRY = "spy.SPY.20131008T134600Z.ENTER_LONG/entry"

Plan = dict[str, Any]


def strategies() -> list[dict[str, Any]]:
    """One moving average for each symbol; the strategy is named as its symbol is."""
    return [
        {
            "id": symbol.lower(),
            "kind": "sma_crossover",
            "symbols": [symbol],
            "allocation": 10_000,
            "stop_fraction": 0.02,
            "parameters": {"fast": 5, "slow": 15, "band_bps": 0},
        }
        for symbol in ("SPY", "BAC", "IBM", "AIG")
    ]


def settings(**sections: dict[str, Any]) -> dict[str, Any]:
    return {"books": ["equity"], "strategies": strategies(), **sections}


def instant(clock: str) -> str:
    """Of the drilled day, UTC."""
    return f"{DAY}{clock}Z"


def fault(name: str, kind: str, scope: Plan, **parameters: Any) -> Plan:
    """One fault of a plan, by a name that tells what it is for."""
    return {"id": name, "kind": kind, "scope": scope, **parameters}


def orders(symbol: str, side: str, **scope: Any) -> Plan:
    return {"endpoint": "orders.submit", "symbol": symbol, "side": side, **scope}


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the ledger's append-only log."""

    number: int
    kind: str
    about: str
    at: datetime
    summary: str
    fact: execution.Fact


class Story:
    """What one run has told. Read when it is over: nothing here can pass before it is looked at."""

    def __init__(self, folder: Path, report: dict[str, Any], alerts: frozenset[str]) -> None:
        self.folder = folder
        self.report = report
        self.alerts = alerts

    @cached_property
    def events(self) -> list[Event]:
        """Oldest first."""
        with sqlite3.connect(f"file:{self.folder / 'ledger.db'}?mode=ro", uri=True) as ledger:
            rows = ledger.execute(
                "SELECT event_id, kind, aggregate, market_time, summary, fact FROM events ORDER BY event_id"
            )
            return [
                Event(number, kind, about, from_micros(at), summary, execution.Fact.FromString(fact))
                for number, kind, about, at, summary, fact in rows
            ]

    def of(self, kind: str, about: str = "") -> list[Event]:
        """Events of one kind whose subject begins with `about`."""
        return [event for event in self.events if event.kind == kind and event.about.startswith(about)]

    def course(self, intent_id: str) -> list[str]:
        """The states of an intent, as `sending 1.2`: state, leg, and attempts of that leg."""
        told = [event.fact.intent for event in self.of("intent", intent_id)]
        return [f"{word(execution.IntentState.Name(each.state))} {each.leg}.{each.attempts}" for each in told]

    def moments(self, intent_id: str, state: str) -> list[Event]:
        """When the intent came into a state."""
        return [
            event
            for event in self.of("intent", intent_id)
            if word(execution.IntentState.Name(event.fact.intent.state)) == state
        ]

    def order(self, intent_id: str) -> dict[str, Any]:
        """The intent as it ended."""
        found: dict[str, Any] = next(each for each in self.report["orders"] if each["intent_id"] == intent_id)
        return found

    def client_ids(self, intent_id: str) -> list[str]:
        """The client order ids of all its legs, in their order."""
        ids = [event.fact.intent.client_order_id for event in self.moments(intent_id, "sending")]
        return list(dict.fromkeys(ids))

    def at_venue(self, intent_id: str) -> list[dict[str, Any]]:
        """The orders that the venue has accepted under any of those ids."""
        ids = self.client_ids(intent_id)
        return [order for order in self.books["orders"] if order["client_order_id"] in ids]

    @cached_property
    def books(self) -> dict[str, Any]:
        """The venue's own."""
        found: dict[str, Any] = json.loads((self.folder / "books.json").read_text())
        return found

    def bought_and_sold(self, symbol: str) -> list[tuple[str, Decimal]]:
        """Fills of a symbol: what the ledger counts in its positions."""
        fills = [fill for fill in self.report["fills"] if fill["symbol"] == symbol]
        return [(fill["side"], Decimal(fill["quantity"])) for fill in fills]

    @cached_property
    def take_overs(self) -> list[Event]:
        """Each time somebody took the account's lease, the first one included."""
        return [event for event in self.of("lease") if "holds the lease" in event.summary]

    def halts(self, kind: str = "") -> list[Event]:
        """Halts that were set, in their order."""
        return [event for event in self.of("halt", kind) if not event.fact.cleared]

    def aborts(self, strategy: str) -> list[Event]:
        """Safety aborts of a strategy."""
        return [each for each in self.halts("safety_abort") if each.fact.halt.strategy == strategy]

    def assert_entered_once(self, strategy: str) -> None:
        """No entry came after the first, though the strategy wished for one."""
        entries = {event.about for event in self.of("intent", f"{strategy}.") if event.about.endswith("/entry")}
        assert len(entries) == 1
        decided = [each for event in self.of("decisions", f"{strategy}.") for each in event.fact.decisions.decisions]
        wishes = [each.reason for each in decided if each.direction == common.DIRECTION_ENTER_LONG]
        assert len(wishes) > 1
        assert all(reason.startswith("STRATEGY_") for reason in wishes[1:]), wishes

    def logged(self, event: str, service: str = "execution", **fields: Any) -> list[dict[str, Any]]:
        """Log records of a service, oldest first."""
        return records(self.folder, service, event=event, **fields)

    @cached_property
    def fired(self) -> dict[str, int]:
        """How often each fault has fired, as the venue counted."""
        found: dict[str, int] = json.loads((self.folder / "fired.json").read_text())
        return found

    def broken(self) -> set[str]:
        return {each["name"] for each in self.report["invariants"] if not each["held"]}


def records(folder: Path, service: str, **fields: Any) -> list[dict[str, Any]]:
    """Log records of a run that have these fields, oldest first; a line that is being written is passed over."""
    lines = (folder / "logs" / f"{service}.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [each for each in found if all(each.get(name) == value for name, value in fields.items())]


def word(name: str) -> str:
    """The last part of an enumeration's name, as the ledger writes it."""
    return name.removeprefix("INTENT_STATE_").lower()


@contextmanager
def drilled(folder: Path, plan: list[Plan], config: dict[str, Any]) -> Iterator[Stack]:
    """The hour in lock-step: market time waits for whatever is not settled, so no fault is ever outrun."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "faults.yaml"
    file.write_text(yaml.safe_dump({"seed": 7, "faults": plan}))
    with running(folder, "--speed", "max", *HOUR, "--faults", str(file), config=config) as stack:
        yield stack


def wait_for_fault(stack: Stack, name: str) -> None:
    """Until the fault has fired; what it holds back stays held while somebody looks."""

    def fired() -> bool:
        assert stack.process.poll() is None, f"the stack has ended: {stack.process.returncode}\n{stack.output}"
        status = stack.venue("status") or {}
        return any(each["fired"] for each in status.get("faults", []) if each["id"] == name)

    eventually(fired, f"the fault {name} has fired")


def story_of(stack: Stack, *alerts: str) -> Story:
    """Waits for the end of the hour and until each of `alerts` was sent; everything that was told until then."""
    stack.wait_for_end()
    report = report_of(stack)
    status = stack.venue("status") or {}
    (stack.folder / "books.json").write_text(json.dumps(stack.venue("books")))
    (stack.folder / "fired.json").write_text(json.dumps({each["id"]: each["fired"] for each in status["faults"]}))
    wanted = frozenset(alerts)
    eventually(lambda: wanted <= alerts_of(stack), f"alerts {sorted(wanted)}", limit_secs=ALERTED_WITHIN_SECS)
    return Story(stack.folder.resolve(), report, alerts_of(stack))


def ask_admin(stack: Stack, path: str, note: str = "") -> Any:
    """What admin's JSON API answers; with a `note`: to what a person does there."""
    headers = {"Authorization": f"Bearer {(stack.folder / 'admin.token').read_text().strip()}"}
    address = admin(stack, f"/api/v1/{path}")
    if not note:
        # It has to be told of strategies itself before it tells of them.
        seen = eventually(lambda: (got := http(address, headers=headers)).status == 200 and got, f"admin tells {path}")
        return seen.body
    body = json.dumps({"note": note}).encode()
    answer = http(address, body=body, headers=headers | {"Content-Type": "application/json"})
    assert answer.status == 200, answer.text
    return answer.body


def spoil_state_of(stack: Stack, strategy: str) -> None:
    """Somebody else's hand in the ledger: a state that no program knows."""
    with sqlite3.connect(stack.folder / "ledger.db", timeout=30.0) as ledger:
        ledger.execute("UPDATE strategies SET state = 'spoilt' WHERE strategy = ?", (strategy,))
    ledger.close()


def broker_calls(folder: Path, since_ns: int, until_ns: int) -> list[str]:
    """Names of the requests to the broker that any service began between two instants of wall time."""
    spans = TraceFiles(folder).spans()
    return [each.name for each in spans if each.name.startswith("broker.") and since_ns <= each.start_ns <= until_ns]


def alerts_of(stack: Stack) -> frozenset[str]:
    """Failure points that a person was told of."""

    async def look() -> frozenset[str]:
        async with bus_of(stack) as bus:
            return frozenset(each.subject.removeprefix(ALERTS) for each in await bus.stored("ALERTS", f"{ALERTS}>"))

    return asyncio.run(look())
