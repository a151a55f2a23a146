"""`holdfast recording` as a user runs it: check names file, row and rule; make writes what loads (TS-3, BS-8)."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from holdfast_cli.main import app
from holdfast_exchange import recording
from holdfast_exchange.combining import default_folder_of
from holdfast_papermarket.embedded import embedded

HEADING = "symbol,ts,open,high,low,close,volume"
GOOD = "SPY,2013-10-07 09:30,10,11,9,10.5,100"
LATER = "SPY,2013-10-07 09:31,10,11,9,10.5,100"
BAD = "SPY,2013-10-07 09:32,10,8,9,10.5,100"


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "holdfast_cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=os.environ | {"COLUMNS": "160"} | environment,
    )


def holdfast(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recording", *arguments], env={"COLUMNS": "160"})


def there(place: str) -> bool:
    return Path(place).exists()


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    file = tmp_path / "bars_1m.csv"
    file.write_text("\n".join([HEADING, LATER, GOOD, ""]))
    return file


def test_a_recording_is_made_of_csv_and_found_sound(tmp_path: Path, csv: Path) -> None:
    place = str(tmp_path / "mine")
    made = command("recording", "make", place, "--csv", str(csv), "--timezone", "America/New_York")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == f"{place}: 2 rows in bars_1m.parquet\n"
    checked = command("recording", "check", place)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "SPY 1m" in checked.stdout
    assert checked.stdout.endswith(f"{place}: sound\n")
    assert len(recording.load(Path(place)).minute_bars) == 2


def test_bad_lines_stop_it_unless_they_are_left_out(tmp_path: Path, csv: Path) -> None:
    csv.write_text("\n".join([HEADING, GOOD, LATER, BAD]))
    place = tmp_path / "mine"
    arguments = ("make", str(place), "--csv", str(csv), "--timezone", "America/New_York")
    stopped = holdfast(*arguments)
    assert stopped.exit_code == 1
    assert "bars_1m.csv line 4: HIGH_BELOW_LOW: the high is below the low" in stopped.output
    assert "nothing is written" in stopped.output
    assert not place.exists()
    made = holdfast(*arguments, "--skip-bad")
    assert made.exit_code == 0
    assert "bars_1m.csv line 4: HIGH_BELOW_LOW" in made.output
    assert len(recording.load(place).minute_bars) == 2


def test_check_names_file_row_and_rule_and_fails(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    rows = {"symbol": ["SPY"] * 30, "open": [float("nan")] * 30} | {
        name: [1.0] * 30 for name in ("high", "low", "close", "volume")
    }
    frame = pl.DataFrame(rows).with_columns(ts=pl.lit("2013-10-07T13:30:00Z").str.to_datetime(time_zone="UTC"))
    frame.write_parquet(tmp_path / "bars_1m_week.parquet")
    frame.write_parquet(tmp_path / "unknown.parquet")
    (tmp_path / "quotes_1m.parquet").write_bytes(b"no parquet")
    checked = command("recording", "check", str(tmp_path))
    assert checked.returncode == 1
    assert "bars_1m_week.parquet row 0: VALUE_NOT_FINITE: a price or size is NaN or infinite" in checked.stdout
    assert "… and 10 more" in checked.stdout
    assert "refused: quotes_1m.parquet: not readable as Parquet" in checked.stdout
    assert "not read: unknown.parquet" in checked.stdout
    assert checked.stdout.endswith(": 30 bad rows, 1 refusals\n")


def test_check_tells_everything_as_json(tmp_path: Path, csv: Path) -> None:
    holdfast("make", str(tmp_path / "mine"), "--csv", str(csv), "--timezone", "America/New_York")
    result = holdfast("check", str(tmp_path / "mine"), "--json")
    told = json.loads(result.output)
    assert (result.exit_code, told["sound"], told["steps"]) == (0, True, {"SPY": ["1m"]})
    assert told["quarantined"] == []
    [file] = told["files"]
    assert (file["rows"], file["missing"], file["first"]) == (2, 388, "2013-10-07T13:30:00+00:00")


def test_an_existing_recording_is_replaced_only_by_force(tmp_path: Path, csv: Path) -> None:
    arguments = ("make", str(tmp_path / "mine"), "--csv", str(csv), "--timezone", "UTC")
    assert holdfast(*arguments).exit_code == 0
    refused = holdfast(*arguments)
    assert refused.exit_code == 2
    assert "is not empty: --force replaces all of it" in refused.output
    assert holdfast(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --csv FILE, or --symbols"),
        (("--csv", "{csv}", "--symbols", "SPY"), "give either --csv FILE, or --symbols"),
        (("--csv", "{csv}"), "has no time zone: name that of the file, --timezone"),
        (("--csv", "{csv}", "--timezone", "Mars/Base"), "--timezone: 'Mars/Base' is not known"),
        (("--csv", "{csv}", "--kind", "bars_5m"), "--kind: 'bars_5m' is not allowed; allowed: bars_1s"),
        (
            (
                "--csv",
                "{csv}.gone",
            ),
            "what it holds is not in its name",
        ),
        (("--csv", "{csv}.gone", "--kind", "bars_1m"), "not readable as CSV"),
        (("--symbols", "SPY"), "needs --symbols, --from and --to"),
        (("--symbols", "SPY", "--from", "soon", "--to", "later"), "--from: 'soon' is neither a day nor an instant"),
        (("--symbols", "SPY", "--from", "2013-10-08", "--to", "2013-10-07"), "--to 2013-10-07 is before --from"),
        (("--symbols", "SPY", "--from", "2013-10-07T09:30:00", "--to", "2013-10-07"), "has no time zone"),
        (("--symbols", "SPY", "--from", "2013-10-07", "--to", "2013-10-07", "--timeframe", "5m"), "allowed: 1m, 1h"),
        (("--symbols", "BTC/USD", "--from", "2018-04-04", "--to", "2018-04-04", "--timeframe", "1d"), "take 1h"),
        (("--symbols", "SPY", "--from", "2013-10-07", "--to", "2013-10-07"), "needs ALPACA_API_KEY and"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(
    tmp_path: Path, csv: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"):
        monkeypatch.delenv(key, raising=False)
    # The name decides what a file holds: this one says nothing.
    given = [each.replace("{csv}.gone", str(tmp_path / "gone.csv")).replace("{csv}", str(csv)) for each in arguments]
    result = holdfast("make", str(tmp_path / "mine"), *given)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not (tmp_path / "mine").exists()
    assert holdfast("check", str(tmp_path / "mine")).exit_code == 2


async def test_a_recording_is_made_of_history_with_papermarket_as_the_source(tmp_path: Path) -> None:
    loaded = recording.load(default_folder_of("equity"), symbols=("IBM", "SPY"))
    async with embedded(loaded, tmp_path, start="2013-10-07", end="2013-10-07") as market:
        market.step_to(market.venue.replay.end)
        source = ("--symbols", "SPY,IBM", "--from", "2013-10-07", "--to", "2013-10-07", "--data-url", market.url)
        keys = {"ALPACA_API_KEY": market.keys.key, "ALPACA_SECRET_KEY": market.keys.secret}
        place = str(tmp_path / "mine")
        made = await asyncio.to_thread(command, "recording", "make", place, *source, **keys)
        refused = await asyncio.to_thread(
            command, "recording", "make", f"{place}2", *source, ALPACA_API_KEY="x", ALPACA_SECRET_KEY="y"
        )
    assert (made.returncode, made.stderr) == (0, "")
    copy = recording.load(tmp_path / "mine")
    assert copy.quarantined == ()
    day = [each for each in loaded.minute_bars if each.start.date().isoformat() == "2013-10-07"]
    assert list(copy.minute_bars) == day
    assert refused.returncode == 1
    assert "refuses with 40" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not there(f"{place}2")


def test_no_other_command_waits_for_what_reads_parquet() -> None:
    probe = "import sys, holdfast_cli.main; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False, timeout=200).returncode == 0
