"""The report's page has everything in it. That it draws is looked at in tests/browser/test_backtest_report.py."""

import json
import re

from holdfast_simulation.backtest.page import page


def test_the_page_asks_the_network_for_nothing() -> None:
    made = page({})

    assert re.findall(r"<(?:link|script|img|iframe)[^>]*?(?:src|href)=\"(?!data:)", made) == []
    assert "@import" not in made
    assert "url(" not in made
    assert "default-src 'none'" in made


def test_no_text_of_the_data_becomes_markup() -> None:
    sly = {"symbol": "</script><script>alert(1)</script><!-- scripts -->"}

    made = page(sly)

    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', made, re.DOTALL)
    assert found
    assert json.loads(found[1]) == sly
    assert made.count("<script") == 2
