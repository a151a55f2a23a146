"""A person stops a strategy and starts it again, on the page and in the terminal, while it trades (SQ-10, SQ-14)."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS, Dashboard, press
from tests.integration import visitor
from tests.integration.stack import HOLDFAST, eventually, running

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(600)]

SMA = "#strategy-sma"


@pytest.fixture(scope="module")
def dashboard(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A stack whose two minutes of market time a second leave a person time to look."""
    with running(tmp_path_factory.mktemp("strategies"), "--speed", "120") as stack:
        found = Dashboard(stack)
        eventually(lambda: found.api("strategies"), "the strategies are told")
        yield found


def terminal(dashboard: Dashboard, *arguments: str) -> str:
    """What `holdfast strategy` says."""
    command = [HOLDFAST, "strategy", *arguments, "--state-dir", dashboard.stack.state_dir]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def entries(dashboard: Dashboard) -> set[str]:
    """Ids of the entries of sma, whatever became of them, as the ledger has them: admin follows it a moment behind."""
    query = "SELECT intent_id FROM intents WHERE purpose = 'entry' AND strategy = 'sma'"
    with closing(sqlite3.connect(f"file:{dashboard.stack.folder / 'ledger.db'}?mode=ro", uri=True, timeout=30.0)) as db:
        return {intent_id for (intent_id,) in db.execute(query)}


def test_a_strategy_is_stopped_and_started_by_a_person(dashboard: Dashboard, signed_in: Page) -> None:
    eventually(lambda: entries(dashboard), "an entry of sma")
    signed_in.goto(f"{dashboard.url}/strategies")
    expect(signed_in.locator(SMA)).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)

    press(signed_in, f"{SMA} header button", "#stop", "prices look wrong")
    expect(signed_in.locator(SMA)).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)
    expect(signed_in.locator(SMA)).to_contain_text("prices look wrong")
    before = entries(dashboard)
    assert "stopped" in terminal(dashboard, "show", "sma")
    blocked = eventually(
        lambda: [
            each
            for each in dashboard.api("decisions?strategy=sma&outcome=blocked&limit=1000") or []
            if each["reason"] == "STRATEGY_STOPPED"
        ],
        "an entry that the stop blocks",
    )
    assert blocked[0]["direction"] == "enter_long"
    assert entries(dashboard) == before

    press(signed_in, f"{SMA} header button", "#start", "prices checked")
    expect(signed_in.locator(SMA)).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    eventually(lambda: entries(dashboard) - before, "it enters again")
    dashboard.wait_for_action("stop")
    dashboard.wait_for_action("start")


def test_what_the_terminal_does_is_on_the_page(dashboard: Dashboard, signed_in: Page) -> None:
    signed_in.goto(f"{dashboard.url}/strategies")
    terminal(dashboard, "stop", "sma", "--note", "from the terminal")
    expect(signed_in.locator(SMA)).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)
    expect(signed_in.locator(SMA)).to_contain_text("from the terminal")
    terminal(dashboard, "start", "sma", "--note", "from the terminal")
    expect(signed_in.locator(SMA)).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    listed = json.loads(terminal(dashboard, "list", "--json"))
    assert {"sma", "rotation"} <= {each["strategy"] for each in listed}


def failed(dashboard: Dashboard) -> list[str]:
    """Names of the strategies that have failed."""
    return [each["strategy"] for each in dashboard.api("strategies") or [] if each["state"] == "failed"]


def test_an_expired_connection_is_reconnected_and_starts_nothing(dashboard: Dashboard, signed_in: Page) -> None:
    """SQ-3, SQ-14: the credential is verified; the strategy that has failed waits for a person."""
    once = {"id": "refused", "kind": "http_error", "status": 401}
    visitor.break_venue(dashboard.stack, once | {"scope": {"endpoint": "orders.submit", "at_most": 1}})
    signed_in.goto(f"{dashboard.url}/strategies")
    card = signed_in.locator("#connection-card")
    expect(card).to_contain_text("Broker connection expired", timeout=PATIENCE_MS)
    expect(card.locator(".steps li")).not_to_have_count(0)
    name = eventually(lambda: failed(dashboard), "the strategy whose order was refused has failed")[0]
    strategy, opener = signed_in.locator(f"#strategy-{name}"), f"#strategy-{name} header button"
    expect(strategy).to_have_attribute("data-state", "failed", timeout=PATIENCE_MS)
    press(signed_in, opener, "#start", "too early")
    expect(signed_in.locator("#start .form-error")).to_contain_text("credentials")
    signed_in.click("#start [data-close]")

    press(signed_in, "#reconnect-button", "#reconnect", "the keys are good")
    expect(card).to_have_count(0, timeout=PATIENCE_MS)
    assert dashboard.told("broker-connection")["expired"] is False
    expect(strategy).to_have_attribute("data-state", "failed")

    press(signed_in, opener, "#start", "the keys are good")
    expect(strategy).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
