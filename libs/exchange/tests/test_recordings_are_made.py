"""Making a recording: what is written loads without a quarantined row, what is not is named (TS-3, BS-8)."""

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_exchange import recording, recording_csv
from holdfast_exchange.recording import Bar, RecordingInvalid
from holdfast_exchange.recording_files import BARS_1D, BARS_1H, BARS_1M, BARS_1S, KINDS, OPTIONS_1M, QUOTES_1M, Kind
from holdfast_exchange.recording_writer import Rows, rows_of, write
from libs.exchange.tests.recording_files_made import DAY, MIDNIGHT, MINUTE, OPEN, SECOND

NEW_YORK = ZoneInfo("America/New_York")
HEADING = "symbol,ts,open,high,low,close,volume"


def of_csv(folder: Path, text: str, kind: Kind = BARS_1M, name: str = "bars_1m.csv", **options: object) -> Rows:
    file = folder / name
    file.write_text(text, "utf-8")
    return rows_of(kind, [recording_csv.read_csv(file, kind, **options)])  # type: ignore[arg-type]  # options by name


@st.composite
def bars(draw: st.DrawFn) -> tuple[Kind, list[Bar]]:
    """Bars of shares and pairs as exact decimals, in any order, none twice."""
    kind = draw(st.sampled_from((BARS_1S, BARS_1M, BARS_1H, BARS_1D)))
    places = {"SPY": (4, 0), "BRK.B": (4, 0), "BTC/USD": (8, 8)}
    made = []
    for symbol in draw(st.lists(st.sampled_from(sorted(places)), min_size=1, unique=True)):
        decimals, whole = places[symbol]
        for number in draw(st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True)):
            first = datetime(2013, 10, 7, tzinfo=UTC) if "/" in symbol else (MIDNIGHT if kind.step == DAY else OPEN)
            first = first.replace(minute=0) if kind is BARS_1H else first
            start = first + kind.step * number
            prices = sorted(draw(st.lists(st.integers(1, 10**9 * 10**decimals - 1), min_size=4, max_size=4)))
            low, first_price, last_price, high = (Decimal(price).scaleb(-decimals) for price in prices)
            if draw(st.booleans()):
                first_price, last_price = last_price, first_price
            volume = Decimal(draw(st.integers(0, 10**9 * 10**whole))).scaleb(-whole)
            made.append(Bar(symbol, start, start + kind.step, first_price, high, low, last_price, volume))
    return kind, draw(st.permutations(made))


@settings(max_examples=30, deadline=None, print_blob=True)
@given(bars())
def test_what_is_written_loads_as_it_was_and_without_quarantine(given_bars: tuple[Kind, list[Bar]]) -> None:
    kind, rows = given_bars
    lines = [
        f"{row.symbol},{row.start.isoformat()},{row.open:f},{row.high:f},{row.low:f},{row.close:f},{row.volume:f}"
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as name:
        made = of_csv(Path(name), "\n".join([HEADING, *lines]), kind)
        assert made.bad == ()
        write(Path(name) / "made", [made], told={})
        loaded = recording.load(Path(name) / "made")
    assert loaded.quarantined == ()
    assert sum(file.used for file in loaded.files) == len(rows)
    found_bars = {BARS_1H: loaded.hourly_bars, BARS_1D: loaded.daily_bars}.get(kind, loaded.driving)
    read = {(each.symbol, each.start): each for each in found_bars}
    for row in rows:
        found = read[(row.symbol, row.start)]
        assert (found.open, found.high, found.low) == (row.open, row.high, row.low)
        assert (found.close, found.volume) == (row.close, row.volume)


def test_local_times_are_read_in_their_zone_and_rows_put_in_order(tmp_path: Path) -> None:
    lines = ["Symbol,Timestamp,Open,High,Low,Close,Volume", "spy,2013-10-07 09:31,10,11,9,10.5,1e2"]
    made = of_csv(tmp_path, "\n".join([*lines, "spy,2013-10-07 09:30,10,11,9,10,7"]), zone=NEW_YORK)
    write(tmp_path / "made", [made], told={"source": 'a "quoted"\nname'})
    loaded = recording.load(tmp_path / "made")
    assert [(each.start, each.volume) for each in loaded.driving] == [(OPEN, Decimal(7)), (OPEN + MINUTE, Decimal(100))]


def test_a_date_is_a_day_where_its_symbol_trades(tmp_path: Path) -> None:
    text = f"{HEADING}\nSPY,2013-10-07,1,1,1,1,1\nBTC/USD,2013-10-07,1,1,1,1,0.5\n"
    write(tmp_path / "made", [of_csv(tmp_path, text, BARS_1D)], told={})
    starts = {each.symbol: each.start for each in recording.load(tmp_path / "made").daily_bars}
    assert starts == {"SPY": MIDNIGHT, "BTC/USD": datetime(2013, 10, 7, tzinfo=UTC)}


def test_bad_lines_are_named_and_never_written(tmp_path: Path) -> None:
    good, start = "10,11,9,10,5", "2013-10-07T13:3"
    lines = [f"SPY,{start}1:00Z,{good}", f"SPY,{start}0:00Z,x,11,9,10,5", "SPY,soon,10,11,9,10,5",
             f"SPY,{start}1:00Z,{good}", f"SPY,{start}3:00Z,10,8,9,10,5", f"SPY,{start}0:00Z,{good}"]  # fmt: skip
    made = of_csv(tmp_path, "\n".join([HEADING, *lines]))
    assert [(each.file, each.row, each.reason) for each in made.bad] == [
        ("bars_1m.csv", 3, "VALUE_MISSING"),
        ("bars_1m.csv", 4, "VALUE_MISSING"),
        ("bars_1m.csv", 5, "ROW_DUPLICATE"),
        ("bars_1m.csv", 6, "HIGH_BELOW_LOW"),
    ]
    write(tmp_path / "made", [made], told={})
    assert [each.start for each in recording.load(tmp_path / "made").driving] == [OPEN, OPEN + MINUTE]


def test_quotes_and_option_trades_are_made_too(tmp_path: Path) -> None:
    quotes = f"{','.join(QUOTES_1M.columns)}\nSPY,2013-10-07T13:30:00Z,1,1,1,1,2,2,2,2,100,100\n"
    options = f"{','.join(OPTIONS_1M.columns)}\nAAPL,2013-10-07T13:30:00Z,2014-01-18,Call,1,1,1,1,500,9\n"
    bars = f"{HEADING}\nSPY,2013-10-07T13:30:00Z,1,1,1,1,1\n"
    parts = [
        of_csv(tmp_path, text, kind) for text, kind in ((quotes, QUOTES_1M), (options, OPTIONS_1M), (bars, BARS_1M))
    ]
    names = write(tmp_path / "made", parts, told={})
    assert names == ["quotes_1m.parquet", "option_trades_1m.parquet", "bars_1m.parquet"]
    loaded = recording.load(tmp_path / "made")
    assert (len(loaded.minute_quotes), len(loaded.option_bars), loaded.quarantined) == (1, 1, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol,open\nSPY,1\n", "columns missing: ts"),
        ("symbol,ts,open\nSPY,2013-10-07T13:30:00Z,1\n", "columns missing: high, low, close, volume"),
        (f"{HEADING.removeprefix('symbol,')}\n2013-10-07T13:30:00Z,1,1,1,1,1\n", "columns missing: symbol: --symbol"),
        (f"{HEADING}\nSPY,2013-10-07 09:30,1,1,1,1,1\n", "line 2: .* has no time zone"),
        ("", "not readable as CSV"),
    ],
)
def test_a_csv_of_a_wrong_shape_is_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecordingInvalid, match=rf"^bars_1m\.csv: .*{message}"):
        of_csv(tmp_path, text)


def test_a_recording_is_replaced_only_by_force_and_nothing_else_ever(tmp_path: Path) -> None:
    first = of_csv(tmp_path, f"{HEADING}\nSPY,2013-10-07T13:30:00Z,1,1,1,1,1\n")
    second = of_csv(tmp_path, f"{HEADING}\nIBM,2013-10-07T13:30:00Z,1,1,1,1,1\n")
    place = tmp_path / "recordings" / "made"
    write(place, [first], told={})
    with pytest.raises(RecordingInvalid, match="--force replaces all of it"):
        write(place, [second], told={})
    write(place, [second], told={}, force=True)
    assert recording.load(place).symbols == ("IBM",)
    (place / "diary.txt").write_text("mine")
    with pytest.raises(RecordingInvalid, match=r"diary\.txt.*not overwritten"):
        write(place, [first], told={}, force=True)
    assert sorted(path.name for path in place.parent.iterdir()) == ["made"], "nothing is left beside it"
    with pytest.raises(RecordingInvalid, match="no good row"):
        write(tmp_path / "none", [of_csv(tmp_path, f"{HEADING}\nSPY,never,1,1,1,1,1\n")], told={})
    assert not (tmp_path / "none").exists()


def test_kinds_are_told_from_names() -> None:
    assert [recording_csv.kind_by_name(Path(f"{kind.prefix}_week.csv")) for kind in KINDS] == list(KINDS)
    assert recording_csv.kind_by_name(Path("crypto_bars_1m.csv")) is BARS_1M
    assert recording_csv.kind_by_name(Path("prices.csv")) is None


def test_a_second_of_a_minute_is_off_the_grid(tmp_path: Path) -> None:
    made = of_csv(
        tmp_path, f"{HEADING}\nSPY,{(OPEN + SECOND + timedelta(milliseconds=1)).isoformat()},1,1,1,1,1\n", BARS_1S
    )
    assert [each.reason for each in made.bad] == ["INSTANT_OFF_GRID"]
