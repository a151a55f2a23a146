"""The bars that every engine is given, and what a run of one engine tells. Standard library only: peers import it."""

import csv
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

FAST, SLOW = 10, 20
NEVER_BPS = 1_000_000.0
"""No two averages are that far apart: everything is computed, nothing is ordered."""
CASH = 1_000_000
SHARES = 10


class Row(NamedTuple):
    """A minute: its start, prices in dollars, volume in shares."""

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


def wandering(starts: Iterable[datetime]) -> list[Row]:
    """A price that wanders in whole cents, the same one every time."""
    chance, last, rows = random.Random(20), 100.0, []
    for start in starts:
        close = round(max(last + chance.gauss(0, 0.05), 50.0), 2)
        high, low = round(max(last, close) + 0.02, 2), round(min(last, close) - 0.02, 2)
        rows.append(Row(start, last, high, low, close, 1_000_000))
        last = close
    return rows


def write(file: Path, rows: Iterable[Row]) -> None:
    """As CSV, instants in ISO 8601."""
    with file.open("w", newline="") as output:
        csv.writer(output).writerows((row.start.isoformat(), *row[1:]) for row in rows)


def read(file: Path) -> list[Row]:
    """What `write` has written."""
    with file.open(newline="") as rows:
        return [Row(datetime.fromisoformat(start), *map(float, rest)) for start, *rest in csv.reader(rows)]


def tell(prepare: Callable[[list[Row], float], Callable[[], int]]) -> None:
    """Runs an engine on the bars and with the band that the command line names, and prints what it took as JSON.

    `prepare` does what is done once for any number of bars and gives the run, which returns the orders it has sent.
    """
    rows, band_bps = read(Path(sys.argv[1])), float(sys.argv[2])
    run = prepare(rows, band_bps)
    began = time.process_time()
    orders = run()
    cpu_secs = time.process_time() - began
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"bars": len(rows), "orders": orders, "cpu_secs": cpu_secs, "rss_mib": peak_mib}))
