"""The dashboard in a real browser against the whole stack (SE-7, KS, RP-1)."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Dashboard, press
from tests.integration import visitor
from tests.integration.stack import eventually

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(600)]

PAGES = ("/", "/strategies", "/orders", "/decisions", "/health", "/failure-points", "/doctor", "/kill-switch", "/audit",
         "/docs")  # fmt: skip


def changed(page: Page, selector: str) -> None:
    """Waits until what the element says is another thing, without loading the page again."""
    page.evaluate("window.sameDocument = true")
    before = page.inner_text(selector)
    expect(page.locator(selector)).not_to_have_text(before, timeout=PATIENCE_MS)
    assert page.evaluate("window.sameDocument"), "the page was loaded again"


def held_with_stop(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Positions whose stop is active, as the dashboard knows them."""
    return [each for each in dashboard.api("positions") or [] if each["protection"] == "active"]


def resting_stops(dashboard: Dashboard) -> dict[str, str]:
    """Symbol to quantity of the stops that rest at the venue, as the venue itself tells."""
    books = dashboard.stack.venue("books") or {"orders": []}
    return {
        order["symbol"]: order["qty"]
        for order in books["orders"]
        if order["type"] == "stop" and order["status"] in ("new", "accepted", "held")
    }


def test_a_wrong_token_is_refused(dashboard: Dashboard, page: Page) -> None:
    dashboard.sign_in(page, "not the token")
    expect(page.locator("#login-error")).to_contain_text("not the token of this stack")
    page.goto(f"{dashboard.url}/orders")
    assert page.url.endswith("/login")


def test_live_numbers_change_without_a_reload(dashboard: Dashboard, signed_in: Page) -> None:
    eventually(lambda: held_with_stop(dashboard), "a position with its stop")
    changed(signed_in, "#market-time")
    changed(signed_in, "#equity")
    expect(signed_in.locator("#chart canvas")).to_be_visible(timeout=PATIENCE_MS)
    expect(signed_in.locator("#positions tbody tr").first).to_be_visible()


def test_what_a_person_opened_stays_open_while_the_page_lives(dashboard: Dashboard, signed_in: Page) -> None:
    eventually(lambda: dashboard.api("decisions"), "a decision")
    signed_in.goto(f"{dashboard.url}/decisions")
    row = signed_in.locator(".decisions details").last
    row.locator("summary").click()
    opened = row.get_attribute("id")
    changed(signed_in, "#market-time")
    assert signed_in.evaluate("name => document.getElementById(name).open", opened)


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_page_scrolls_sideways(dashboard: Dashboard, signed_in: Page, width: int, theme: Any) -> None:
    signed_in.set_viewport_size({"width": width, "height": 800})
    signed_in.emulate_media(color_scheme=theme)
    for path in PAGES:
        signed_in.goto(dashboard.url + path)
        signed_in.wait_for_selector("#strip")
        beyond = signed_in.evaluate(
            "[...document.body.querySelectorAll('*')].filter(e => {"
            "  const box = e.getBoundingClientRect();"
            "  return box.width && box.right > document.documentElement.clientWidth + 1 }).map(e => e.outerHTML)"
        )
        assert beyond == [], f"{path} at {width}"


def test_the_kill_switch_blocks_the_next_entry_and_leaves_the_stops(dashboard: Dashboard, signed_in: Page) -> None:
    eventually(lambda: held_with_stop(dashboard), "a position with its stop")
    signed_in.click("#kill-button")
    signed_in.fill("#engage input[name=reason]", "browser test")
    signed_in.click("#engage button[type=submit]")
    expect(signed_in.locator("#light")).to_have_attribute("data-light", "RED", timeout=PATIENCE_MS)
    expect(signed_in.locator("#reasons-card")).to_contain_text("The kill switch is engaged")
    switch = eventually(lambda: (s := dashboard.api("kill-switch")) and s["confirmed"] and s, "execution knows of it")
    assert (switch["engaged"], switch["set_by"], switch["reason"]) == (True, "Ada", "browser test")
    blocked_before = len(dashboard.told("decisions?outcome=blocked&reason=KILL_SWITCH_ENGAGED&limit=1000"))

    def stops_rest() -> bool:
        held, stops = held_with_stop(dashboard), resting_stops(dashboard)
        return bool(held) and all(stops.get(each["symbol"]) == each["stop_quantity"] for each in held)

    eventually(stops_rest, "every position keeps its stop at the venue")
    blocked = eventually(
        lambda: (
            len(found := dashboard.api("decisions?outcome=blocked&reason=KILL_SWITCH_ENGAGED&limit=1000") or [])
            > blocked_before
            and found
        ),
        "an entry that the kill switch blocks",
    )
    assert blocked[0]["direction"] == "enter_long"
    entries = [each for each in dashboard.told("orders?limit=1000") if each["purpose"] == "entry"]
    signals = {each["signal_id"] for each in blocked}
    assert [each for each in entries if each["signal_id"] in signals] == []
    signed_in.goto(f"{dashboard.url}/decisions?outcome=blocked&reason=KILL_SWITCH_ENGAGED")
    expect(signed_in.locator(".decisions .why").first).to_contain_text("The kill switch is engaged")

    signed_in.goto(f"{dashboard.url}/kill-switch")
    signed_in.click("#lift-button")
    signed_in.fill("#lift input[name=note]", "the test is over")
    signed_in.fill("#lift input[name=word]", "LIFT")
    signed_in.click("#lift button[type=submit]")
    expect(signed_in.locator("#engage-button")).to_be_visible(timeout=PATIENCE_MS)
    dashboard.wait_for_action("engage")
    dashboard.wait_for_action("lift")


def test_refused_credentials_stop_all_calls_until_a_person_clears_the_halts(
    dashboard: Dashboard, signed_in: Page
) -> None:
    """Invariant 5 of the order protocol, as a person meets it: the halts are on the page, and cleared there."""
    once = {"id": "refused", "kind": "http_error", "status": 401}
    visitor.break_venue(dashboard.stack, once | {"scope": {"endpoint": "orders.submit", "at_most": 1}})
    signed_in.goto(f"{dashboard.url}/health")
    halts = signed_in.locator("#halts-card")
    expect(halts).to_contain_text("credentials", ignore_case=True, timeout=PATIENCE_MS)
    fills = len(dashboard.told("fills?limit=1000"))

    while standing := dashboard.told("halts"):
        # The credentials last: while their halt stands, whatever wants to be sent aborts its strategy.
        halt_id = min(standing, key=lambda halt: halt["kind"] == "credentials")["halt_id"]
        signed_in.click(f'#halts-card button[data-to="{halt_id}"]')
        signed_in.fill("#clear input[name=note]", "the keys are good")
        signed_in.click("#clear button[type=submit]")
        expect(halts.locator(f'button[data-to="{halt_id}"]')).to_have_count(0, timeout=PATIENCE_MS)
    expect(halts).to_contain_text("Nothing is halted")
    dashboard.wait_for_action("clear")
    signed_in.goto(f"{dashboard.url}/strategies")
    for each in [each["strategy"] for each in dashboard.told("strategies") if each["state"] == "failed"]:
        press(signed_in, f"#strategy-{each} header button", "#start", "the keys are good")
        expect(signed_in.locator(f"#strategy-{each}")).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    eventually(lambda: len(dashboard.api("fills?limit=1000") or ()) > fills, "trading goes on")
