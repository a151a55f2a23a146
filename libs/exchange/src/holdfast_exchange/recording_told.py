"""A recording in words and numbers, for status, log and report: what drives it, what is wrong with it (BS-8)."""

from bisect import bisect_right
from collections import Counter
from typing import Any

from holdfast_exchange.recording import MINUTE, Bar, Recording
from holdfast_exchange.recording_files import BAR_KINDS
from holdfast_exchange.replay import Replay
from holdfast_exchange.rows import MICROSECOND, Rows, micros, tabled

MOST_ROWS = 100


def told(recording: Recording, replay: Replay) -> dict[str, Any]:
    """Plain JSON: symbols, how many bars are replayed, which kinds drive each symbol, quarantined rows, files."""
    rules = Counter(row.reason for row in recording.quarantined)
    driving = {symbol: (rows, _replayed(rows, replay)) for symbol, rows in _driving(recording).items()}
    return {
        "symbols": list(recording.symbols),
        "bars": sum(len(places) for _, places in driving.values()),
        "driven_by": {symbol: _steps(rows, places) for symbol, (rows, places) in driving.items()},
        "quarantined": {
            "rows": len(recording.quarantined),
            "rules": dict(sorted(rules.items())),
            "first": [
                {"file": row.file, "row": row.row, "reason": row.reason} for row in recording.quarantined[:MOST_ROWS]
            ],
        },
        "files": [
            {
                "file": file.file,
                "rows": file.rows,
                "quarantined": sum(file.quarantined.values()),
                "extended_hours": file.extended,
                "missing": file.missing,
                "missing_days": file.days_missing,
                "gaps": file.gaps,
            }
            for file in recording.files
        ],
        "not_read": list(recording.unread),
    }


def notes(recording: Recording, replay: Replay) -> tuple[str, ...]:
    """What a person must know before believing the run: a sentence each."""
    found = []
    if bad := len(recording.quarantined):
        found.append(f"{bad} rows of the recording are quarantined and not replayed")
    if recording.unread:
        found.append(f"not read, no prefix fits the name: {', '.join(recording.unread)}")
    minute = MINUTE // MICROSECOND
    coarse, absent = [], []
    for symbol, rows in _driving(recording).items():
        places = _replayed(rows, replay)
        if not places:
            absent.append(symbol)
        elif all(rows.ends[place] - rows.starts[place] > minute for place in places):
            coarse.append(symbol)
    if coarse:
        found.append(
            f"only hours or days are recorded of {', '.join(coarse)}: strategies on daily bars trade them, "
            "strategies on minute bars do not"
        )
    if absent:
        found.append(f"nothing is recorded of {', '.join(absent)} in the time that is replayed")
    return tuple(found)


def _driving(recording: Recording) -> dict[str, Rows[Bar]]:
    return tabled(recording.driving or recording.minute_bars, lambda bar: bar.symbol).by_symbol


def _steps(rows: Rows[Bar], places: range) -> list[str]:
    """Names of the kinds among the rows, finest first. The first and last hour of a session are shorter than one."""
    lengths = {rows.ends[place] - rows.starts[place] for place in places}
    kinds = zip(BAR_KINDS, (-1, *(kind.step // MICROSECOND for kind in BAR_KINDS)), strict=False)
    return [kind.name for kind, below in kinds if any(below < length <= kind.step // MICROSECOND for length in lengths)]


def _replayed(rows: Rows[Bar], replay: Replay) -> range:
    """Places of the bars that end within the replay."""
    return range(bisect_right(rows.ends, micros(replay.begin)), bisect_right(rows.ends, micros(replay.end)))
