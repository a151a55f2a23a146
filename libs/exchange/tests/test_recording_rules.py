"""Every rule of a recording: a row that breaks it is quarantined with file, row and rule, and never traded (BS-8)."""

import inspect
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from holdfast_exchange import recording
from holdfast_exchange.recording import RecordingInvalid
from holdfast_exchange.recording_check import inspect as inspected
from holdfast_exchange.recording_files import KINDS
from holdfast_exchange.recording_rules import EXPLAINED, Rule
from libs.exchange.tests import recording_files_made as made
from libs.exchange.tests.recording_files_made import CLOSE, DAY, MIDNIGHT, MINUTE, OPEN, bar, option, quote, write

SATURDAY = OPEN + DAY * 5


def rules_of(folder: Path, now: datetime | None = None) -> list[tuple[str, int, str]]:
    """What is quarantined by loading, and the same by checking."""
    found = [(row.file, row.row, row.reason) for row in recording.load(folder, now=now).quarantined]
    assert [(row.file, row.row, row.reason) for row in inspected(folder, now=now).quarantined] == found
    return found


BARS: list[tuple[dict[str, Any], Rule]] = [
    ({"close": None}, Rule.VALUE_MISSING),
    ({"symbol": None}, Rule.VALUE_MISSING),
    ({"ts": None}, Rule.VALUE_MISSING),
    ({"close": float("nan")}, Rule.VALUE_NOT_FINITE),
    ({"high": float("inf")}, Rule.VALUE_NOT_FINITE),
    ({"symbol": "spy"}, Rule.SYMBOL_INVALID),
    ({"symbol": ""}, Rule.SYMBOL_INVALID),
    ({"symbol": "BTC/"}, Rule.SYMBOL_INVALID),
    ({"low": 0.0}, Rule.PRICE_NOT_POSITIVE),
    ({"low": 0.00001}, Rule.PRICE_NOT_POSITIVE),
    ({"open": -1.0}, Rule.PRICE_NOT_POSITIVE),
    ({"high": 1e12}, Rule.PRICE_TOO_LARGE),
    ({"high": 1e300}, Rule.PRICE_TOO_LARGE),
    ({"volume": -1}, Rule.COUNT_NEGATIVE),
    ({"volume": 10**15}, Rule.COUNT_TOO_LARGE),
    ({"high": 8.0}, Rule.HIGH_BELOW_LOW),
    ({"close": 13.0}, Rule.PRICE_OUTSIDE_RANGE),
    ({"open": 8.5}, Rule.PRICE_OUTSIDE_RANGE),
    ({"ts": datetime(1970, 1, 1, tzinfo=UTC)}, Rule.INSTANT_IMPLAUSIBLE),
    ({"ts": datetime(9999, 1, 1, tzinfo=UTC)}, Rule.INSTANT_IMPLAUSIBLE),
    ({"ts": OPEN + timedelta(seconds=170)}, Rule.INSTANT_OFF_GRID),
    ({"ts": datetime(1995, 10, 9, 14, 30, tzinfo=UTC)}, Rule.DAY_OUTSIDE_CALENDAR),
    ({"ts": SATURDAY}, Rule.DAY_NOT_A_SESSION),
    ({"ts": OPEN}, Rule.ROW_DUPLICATE),
    ({"ts": OPEN + MINUTE}, Rule.ROW_UNORDERED),
]


@pytest.mark.parametrize(("changes", "rule"), BARS)
def test_a_bad_bar_is_named_and_not_used(tmp_path: Path, changes: dict[str, Any], rule: Rule) -> None:
    rows = [bar(OPEN), bar(OPEN + MINUTE * 2), bar(OPEN + MINUTE * 3) | changes, bar(OPEN + MINUTE * 4)]
    write(tmp_path, "bars_1m", rows)
    assert rules_of(tmp_path) == [("bars_1m.parquet", 2, rule.value)]
    loaded = recording.load(tmp_path)
    assert [each.start for each in loaded.driving] == [OPEN, OPEN + MINUTE * 2, OPEN + MINUTE * 4]
    assert loaded.files[0].quarantined == {rule.value: 1}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"bid_close": 10.2, "bid_high": 10.2}, Rule.QUOTE_CROSSED),
        ({"ask_open": 9.9, "ask_low": 9.9}, Rule.QUOTE_CROSSED),
        ({"ask_low": 10.2}, Rule.HIGH_BELOW_LOW),
        ({"bid_open": 9.0}, Rule.PRICE_OUTSIDE_RANGE),
        ({"bid_low": 0.0}, Rule.PRICE_NOT_POSITIVE),
        ({"ask_size": -1}, Rule.COUNT_NEGATIVE),
        ({"ts": OPEN}, Rule.ROW_DUPLICATE),
    ],
)
def test_a_bad_quote_is_named_and_not_used(tmp_path: Path, changes: dict[str, Any], rule: Rule) -> None:
    write(tmp_path, "bars_1m", [bar(OPEN)])
    write(tmp_path, "quotes_1m", [quote(OPEN), quote(OPEN + MINUTE) | changes])
    assert rules_of(tmp_path) == [("quotes_1m.parquet", 1, rule.value)]
    assert len(recording.load(tmp_path).minute_quotes) == 1


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"right": "C"}, Rule.OPTION_RIGHT_UNKNOWN),
        ({"expiry": date(2013, 10, 4)}, Rule.OPTION_EXPIRED),
        ({"strike": Decimal("0.0000")}, Rule.PRICE_NOT_POSITIVE),
        ({"ts": OPEN}, Rule.ROW_DUPLICATE),
    ],
)
def test_a_bad_option_trade_is_named_and_not_used(tmp_path: Path, changes: dict[str, Any], rule: Rule) -> None:
    write(tmp_path, "bars_1m", [bar(OPEN)])
    write(tmp_path, "option_trades_1m", [option(OPEN), option(OPEN + MINUTE) | changes])
    assert rules_of(tmp_path) == [("option_trades_1m.parquet", 1, rule.value)]


def test_a_day_must_be_a_session_and_begin_at_midnight(tmp_path: Path) -> None:
    utc_midnight = datetime(2013, 10, 9, tzinfo=UTC)
    write(tmp_path, "bars_1d", [bar(MIDNIGHT), bar(utc_midnight), bar(MIDNIGHT + DAY * 5)])
    found = [(row, reason) for _, row, reason in rules_of(tmp_path)]
    assert found == [(1, Rule.INSTANT_OFF_GRID), (2, Rule.DAY_NOT_A_SESSION)]


def test_what_is_later_than_now_is_no_fact(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", [bar(OPEN), bar(OPEN + MINUTE)])
    assert rules_of(tmp_path) == []
    assert rules_of(tmp_path, now=OPEN) == [("bars_1m.parquet", 1, Rule.INSTANT_IN_FUTURE)]


def test_a_pair_keeps_the_precision_that_a_share_has_not(tmp_path: Path) -> None:
    write(tmp_path, "crypto_bars_1m", [bar(OPEN, "BTC/USD", low=0.00001), bar(OPEN - DAY * 2, "ETH/USD")])
    assert rules_of(tmp_path) == []
    assert recording.load(tmp_path).driving[0].low == Decimal("0.00001")


def test_a_duplicate_is_found_over_the_files_of_a_kind(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m_a", [bar(OPEN)])
    write(tmp_path, "bars_1m_b", [bar(OPEN, close=10.5), bar(OPEN + MINUTE)])
    assert rules_of(tmp_path) == [("bars_1m_b.parquet", 0, Rule.ROW_DUPLICATE)]
    assert recording.load(tmp_path).driving[0].close == Decimal(11)


def test_one_row_out_of_order_is_one_bad_row_wherever_it_lies(tmp_path: Path) -> None:
    ahead = [bar(CLOSE - MINUTE), *(bar(OPEN + MINUTE * n) for n in range(5))]
    behind = [*(bar(OPEN + MINUTE * n, "IBM") for n in range(1, 5)), bar(OPEN, "IBM")]
    write(tmp_path, "bars_1m", ahead + behind)
    assert [(row, reason) for _, row, reason in rules_of(tmp_path)] == [
        (0, Rule.ROW_UNORDERED),
        (10, Rule.ROW_UNORDERED),
    ]


def test_a_bad_row_does_not_make_good_ones_bad(tmp_path: Path) -> None:
    """A row that is not used is no predecessor and no first of two."""
    rows = [bar(CLOSE - MINUTE, close=-1.0), bar(OPEN, high=1.0), bar(OPEN), bar(OPEN + MINUTE)]
    write(tmp_path, "bars_1m", rows)
    assert [row for _, row, _ in rules_of(tmp_path)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "rows", "types", "message"),
    [
        ("bars_1m", [{"symbol": "SPY", "ts": OPEN, "open": 1.0}], {}, "columns missing: high, low, close, volume"),
        ("bars_1s", [bar(OPEN, open="ten")], {}, "open is String, not a number"),
        ("bars_1h", [bar(OPEN) | {"symbol": 7}], {}, "symbol is Int64, not text"),
        ("bars_1d", [bar(OPEN)], {"ts": pl.Datetime("ms")}, r"not a UTC instant"),
        ("bars_1m_ny", [bar(OPEN)], {"ts": pl.Datetime("us", "America/New_York")}, r"not a UTC instant"),
        ("bars_1m", [bar(OPEN, ts=date(2013, 10, 7))], {"ts": pl.Date}, "ts is Date, not a UTC instant"),
        ("quotes_1m", [{"symbol": "SPY", "ts": OPEN}], {}, "columns missing: bid_open"),
        ("option_trades_1d", [option(MIDNIGHT, expiry="soon")], {}, "expiry is String, not a date"),
    ],
)
def test_a_file_of_a_wrong_shape_is_refused_in_a_sentence(
    tmp_path: Path, name: str, rows: list[dict[str, Any]], types: dict[str, Any], message: str
) -> None:
    write(tmp_path, "bars_1m_good", [bar(OPEN)])
    write(tmp_path, name, rows, **types)
    with pytest.raises(RecordingInvalid, match=rf"^{name}\.parquet: .*{message}"):
        recording.load(tmp_path)
    found = inspected(tmp_path)
    assert [name in sentence for sentence in found.refused] == [True]
    assert [each.file for each in found.files] == ["bars_1m_good.parquet"], "the others are judged all the same"


def test_a_file_that_is_no_parquet_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bars_1m.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(RecordingInvalid, match=r"^bars_1m\.parquet: not readable as Parquet"):
        recording.load(tmp_path)


def test_an_empty_file_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", [bar(OPEN)])
    pl.read_parquet(tmp_path / "bars_1m.parquet").clear().write_parquet(tmp_path / "bars_1m_empty.parquet")
    assert [(each.file, each.rows) for each in recording.load(tmp_path).files] == [
        ("bars_1m.parquet", 1),
        ("bars_1m_empty.parquet", 0),
    ]


def test_every_rule_is_tested_and_explained() -> None:
    """A rule without a test could be broken unseen."""
    here = inspect.getsource(inspect.getmodule(rules_of) or made)
    assert [rule for rule in Rule if f"Rule.{rule.name}" not in here] == []
    assert set(EXPLAINED) == set(Rule)


def test_the_documentation_explains_every_rule_and_names_every_kind_of_file() -> None:
    page = (Path(__file__).parents[3] / "docs" / "recordings.md").read_text("utf-8")
    assert [rule for rule in Rule if f"| `{rule}` | {EXPLAINED[rule]} |" not in page] == []
    assert [kind.prefix for kind in KINDS if f"`{kind.prefix}*`" not in page] == []
