"""The HTML report of a backtest, opened from its file and without a network."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.integration.stack import HOLDFAST

pytestmark = pytest.mark.browser

HOUR = ("--from", "2013-10-08", "--to", "2013-10-08T14:30:00Z")


def test_a_report_opens_without_a_network_and_draws(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "hour.html"
    subprocess.run([HOLDFAST, "backtest", *HOUR, "--strategy", "sma", "--report", file], check=True, cwd=tmp_path)
    page.context.set_offline(True)
    page.goto(file.as_uri())

    expect(page.locator("#figures .kpi")).to_have_count(10)
    expect(page.locator("#figures")).to_contain_text(re.compile(r"Return.*%"))
    expect(page.locator(".chart canvas")).to_have_count(4)
    rows = page.locator("#fills-card tbody tr")
    assert rows.count() > 1
    page.click("#symbols button:last-child")
    expect(page.locator("#symbols button:last-child")).to_have_attribute("aria-pressed", "true")
    page.set_viewport_size({"width": 390, "height": 844})
    # The charts follow the page's width a moment later.
    page.wait_for_function("document.documentElement.scrollWidth === 390")
