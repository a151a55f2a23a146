"""The backtest beside those of others: the same generated minutes, the same cross of two averages, one run.

Each engine runs as a process of its own, one after the other. The peers live in an environment of their own, from a
lock of their own (backtests/peers.txt, written by `uv pip compile --generate-hashes` from peers.in), never in the
project's.
"""

import json
import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from backtests import bars

from holdfast_core.sessions import calendar_of

HERE = Path(__file__).parent / "backtests"
ROOT = Path(__file__).parents[2]
UV = ROOT / ".uv" / "bin" / "uv"
PEERS = ROOT / "build" / "peers"
PROGRAMS = {
    "Holdfast": "own.py",
    "backtesting.py": "peer_backtesting.py",
    "backtrader": "peer_backtrader.py",
    "NautilusTrader": "peer_nautilus.py",
}
OWN = "Holdfast"
CASES = {"orders": ("many orders", 0.0), "none": ("no order", bars.NEVER_BPS)}
BEATEN = {"orders": ("NautilusTrader", "backtrader"), "none": ("backtesting.py",)}
"""What the aim is to be faster than."""
ENTRY_POINT = "[holdfast.strategies]\nema_cross = ema_cross:EmaCross\n"
LIMIT_SECS = 3600


def measure(scratch: Path, *, minutes: dict[str, int]) -> dict[str, dict[str, Any]]:
    """By case and engine what a run took, or `missing`: why there is none. `minutes`: how many bars each case has."""
    missing = install()
    found: dict[str, dict[str, Any]] = {}
    for case, (_, band_bps) in CASES.items():
        file = scratch / f"{case}.csv"
        bars.write(file, bars.wandering(starts(minutes[case])))
        found[case] = {
            name: {"missing": missing} if missing and name != OWN else _run(name, file, band_bps, scratch)
            for name in PROGRAMS
        }
    return found


def install() -> str:
    """The peers' environment as their lock says. Returns why there is none, or an empty text."""
    python = PEERS / "bin" / "python"
    commands = [
        [UV, "venv", "--quiet", "--allow-existing", "--python", sys.executable, PEERS],
        [UV, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", HERE / "peers.txt"],
    ]
    for command in commands:
        try:
            done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        except OSError as error:
            return f"not installed: {error}"
        if done.returncode:
            return f"not installed: {(done.stderr.strip().splitlines() or ['uv failed'])[-1]}"
    return ""


def starts(count: int) -> list[datetime]:
    """So many minutes of New York's sessions from 2013 on."""
    sessions = calendar_of("equity").sessions_between(date(2013, 1, 2), date(2016, 12, 30))
    minute = timedelta(minutes=1)
    every = (
        session.open + minute * at for session in sessions for at in range((session.close - session.open) // minute)
    )
    return [start for start, _ in zip(every, range(count), strict=False)]


def _run(name: str, file: Path, band_bps: float, scratch: Path) -> dict[str, Any]:
    python = sys.executable if name == OWN else PEERS / "bin" / "python"
    command = [str(python), str(HERE / PROGRAMS[name]), str(file), str(band_bps)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST")}
    environment["PYTHONPATH"] = str(_strategy(scratch))
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=LIMIT_SECS)
    except subprocess.TimeoutExpired:
        return {"missing": f"failed: not done within {LIMIT_SECS} s"}
    if done.returncode:
        return {"missing": f"failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told | {"rate": told["bars"] / told["cpu_secs"]}


def _strategy(scratch: Path) -> Path:
    """A folder in which the strategy of the bench is installed, as a user's package is (docs/strategies.md)."""
    folder = scratch / "strategy"
    told = folder / "ema_cross-0.dist-info"
    told.mkdir(parents=True, exist_ok=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: ema-cross\nVersion: 0\n")
    (told / "entry_points.txt").write_text(ENTRY_POINT)
    return folder


def show(found: dict[str, dict[str, Any]]) -> None:
    """A table for people: bars per second of CPU, and the most memory that the process had."""
    for case, (title, _) in CASES.items():
        engines = found[case]
        heading = f"backtest, cross of EMA {bars.FAST}/{bars.SLOW}, {title}"
        print(f"{heading:61}{'bars':>9}{'orders':>8}{'bars/s':>10}{'MiB':>7}")
        for name, told in engines.items():
            if "missing" in told:
                print(f"    {name:57}{told['missing']}")
                continue
            numbers = f"{told['bars']:9}{told['orders']:8}{told['rate']:10.0f}{told['rss_mib']:7.0f}"
            print(f"    {name:57}{numbers}")
        for peer in BEATEN[case]:
            if "rate" in engines[OWN] and "rate" in engines[peer]:
                print(f"    {OWN} ÷ {peer:46}{engines[OWN]['rate'] / engines[peer]['rate']:9.3f}   aim: above 1")
