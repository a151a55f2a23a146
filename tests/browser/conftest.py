"""The system's Chromium, and a running stack that all these tests look at."""

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.integration.stack import Stack, eventually, running

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 120_000
"""At 120 times its pace four hours of the market: for two of them the recorded week has no order."""
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Skips where the machine has no Chromium, unless HOLDFAST_REQUIRE_BROWSER says that it must.

    Closed with its module: while it is open its event loop is in the way of asynchronous tests.
    """
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        reason = f"none of {', '.join(CHROMIUMS)} is installed"
        if os.environ.get("HOLDFAST_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    # Chromium refuses its sandbox to root, as in most containers.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=args)
        yield browser
        browser.close()


class Dashboard:
    """The admin service of a running stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        settings = stack.settings["admin"]
        self.url = f"http://{settings['host']}:{settings['port']}"
        self.token = eventually(lambda: (f := stack.folder / "admin.token").exists() and f.read_text(), "a token")

    def api(self, page: str) -> Any:
        """One answer of the JSON API; None while it is away."""
        headers = {"Authorization": f"Bearer {self.token}", "X-Operator": "test"}
        try:
            request = urllib.request.Request(f"{self.url}/api/v1/{page}", headers=headers)
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def told(self, page: str) -> Any:
        """The same, once it answers."""
        (answer,) = eventually(lambda: (found := self.api(page)) is not None and (found,), f"the API tells {page}")
        return answer

    def wait_for_action(self, action: str) -> None:
        """Until the audit has what Ada did as done: the page may show it before execution's own answer is there."""
        eventually(
            lambda: (action, "Ada", "ok") in {(e["action"], e["who"], e["result"]) for e in self.told("audit")},
            f"{action} by Ada is in the audit",
        )

    def sign_in(self, page: Page, token: str | None = None) -> None:
        page.goto(f"{self.url}/login")
        page.fill("input[name=token]", self.token if token is None else token)
        page.fill("input[name=who]", "Ada")
        page.click("button[type=submit]")


def press(page: Page, opener: str, dialog: str, note: str) -> None:
    """Opens a dialog, says why, and goes through with it."""
    page.click(opener)
    page.fill(f"{dialog} input[name=note]", note)
    page.click(f"{dialog} button[type=submit]")


@pytest.fixture(scope="module")
def dashboard(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A stack that replays the recorded week at 120 times its pace: what was seen still holds when it is used."""
    with running(tmp_path_factory.mktemp("dashboard"), "--speed", "120") as stack:
        found = Dashboard(stack)
        eventually(lambda: found.api("status"), "the dashboard answers")
        yield found


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one person."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which every script error fails the test."""
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []


@pytest.fixture
def signed_in(dashboard: Dashboard, page: Page) -> Page:
    """A page of somebody who showed the token."""
    dashboard.sign_in(page)
    page.wait_for_selector("#live")
    return page
