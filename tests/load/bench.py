"""`make bench`: Holdfast's own path beside two floors, in one run on one machine.

    python tests/load/bench.py [--json FILE] [--only floors,path,up,day,venue,backtest] [--single N] [--batches N]

(a) raw asyncio TCP echo through five processes            (b) unary grpc.aio through five processes, traced
(c) cycle published → decision → durable intent → order sent, one at a time, tracing on
(d) signals decided and committed a second, in cycles of 64 of which one is sent
and of `holdfast up`: time to the first order, memory of all its processes, seconds a day in lock-step;
of the stand-in venue: its HTTP beside a bare uvicorn answer, and the exchange alone;
of the backtest: bars a second and memory beside backtesting.py, backtrader and NautilusTrader.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Read as grpc is imported: the processes that are started here are programs of their own, no forks of this one.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import backtest_speed
import floors
import traded_path
import venue_speed
from measuring import Figures, descendants, machine, total_memory_mib

HOLDFAST = Path(sys.executable).with_name("holdfast")
AIM_LATENCY = 0.47
AIM_RATE = 5.0
AIM_MEMORY_MIB = 1024
AIM_FIRST_ORDER_SECS = 10.0
AIM_DAY_SECS = 30.0
DAY = ("--from", "2013-10-08", "--to", "2013-10-08")
UP_LIMIT_SECS = 120.0
PARTS = ("floors", "path", "up", "day", "venue", "backtest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts of: {', '.join(PARTS)}")
    parser.add_argument("--calls", type=int, default=1000, help="round trips through each floor")
    parser.add_argument("--single", type=int, default=200, help="cycles one at a time")
    parser.add_argument("--batches", type=int, default=100, help="cycles of 64")
    parser.add_argument("--bars", type=int, default=97_500, help="minutes of the backtest without orders, a year")
    parser.add_argument("--traded-bars", type=int, default=3_900, help="minutes of the backtest with many orders")
    parser.add_argument("--keep", type=Path, help="keep the state of the path here")
    options = parser.parse_args()
    parts = options.only.split(",")
    found: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        scratch = options.keep or Path(name)
        scratch.mkdir(parents=True, exist_ok=True)
        if "floors" in parts:
            found["tcp"], found["grpc"] = asyncio.run(_floors(scratch, options.calls))
        if "path" in parts:
            measured = asyncio.run(
                traded_path.measure(scratch / "path", single=options.single, batches=options.batches)
            )
            found["path"] = asdict(measured)
        if "floors" in parts and "path" in parts:
            # Before and after: load of others on the machine then touches both sides of a ratio.
            tcp, grpc = asyncio.run(_floors(scratch, options.calls))
            found["tcp"], found["grpc"] = _mean(found["tcp"], tcp), _mean(found["grpc"], grpc)
        for part in ("tcp", "grpc"):
            if part in found:
                found[part] = asdict(found[part])
        if "up" in parts:
            found["up"] = first_order(scratch)
        if "day" in parts:
            found["day"] = lockstep_day(scratch)
        if "venue" in parts:
            found["venue"] = venue_speed.measure(scratch)
        if "backtest" in parts:
            minutes = {"orders": options.traded_bars, "none": options.bars}
            found["backtest"] = backtest_speed.measure(scratch, minutes=minutes)
    found["machine"]["load_after"] = os.getloadavg()[0]
    show(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


async def _floors(scratch: Path, calls: int) -> tuple[Figures, Figures]:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    return await floors.measure_tcp(folder, calls=calls), await floors.measure_grpc(folder, calls=calls)


def _mean(one: Figures, other: Figures) -> Figures:
    return Figures(*((a + b) / 2 for a, b in zip(asdict(one).values(), asdict(other).values(), strict=True)))


def first_order(scratch: Path) -> dict[str, float]:
    """Seconds from `holdfast up` to the first order at the venue, and the memory of all processes then."""
    state, began = scratch / "up", time.perf_counter()
    command = [str(HOLDFAST), "up", "--state-dir", str(state), "--speed", "600"]
    with (scratch / "up.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=scratch, env=_environment())
    try:
        while not _has_order(state):
            if process.poll() is not None or time.perf_counter() - began > UP_LIMIT_SECS:
                raise SystemExit(f"no order came:\n{(scratch / 'up.txt').read_text()[-2000:]}")
            time.sleep(0.02)
        secs = time.perf_counter() - began
        rss, pss = total_memory_mib(descendants(process.pid))
        return {"first_order_secs": secs, "rss_mib": rss, "pss_mib": pss}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _has_order(state: Path) -> bool:
    """papermarket keeps what it took in its journal before it answers."""
    journals = list(state.glob("runs/*/papermarket/*.journal"))
    return any('"submit"' in journal.read_text().lower() for journal in journals)


def lockstep_day(scratch: Path) -> dict[str, float]:
    """Wall and CPU seconds of one day in lock-step, from start to report."""
    report = scratch / "report.json"
    command = [str(HOLDFAST), "up", "--state-dir", str(scratch / "day"), "--speed", "max", "--until-end", *DAY]
    began, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [*command, "--report", str(report)], capture_output=True, cwd=scratch, env=_environment(), check=False
    )
    secs, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"the day ended with {done.returncode}:\n{done.stdout.decode()[-2000:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    stages = json.loads(report.read_text())["stages"]
    rounds = stages.get("reconciliation.round", {})
    return {"secs": secs, "cpu_secs": used, "reconciliation_p50_ms": rounds.get("p50_ms", 0.0)}


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("ALPACA_", "HOLDFAST"))}


def show(found: dict[str, Any]) -> None:
    """The table that people read."""
    told = found["machine"]
    print(f"{told['cores']} cores, {told['cpu']}, Python {told['python']}, load {told['load_before']:.1f} before")
    print(f"{'':58}{'p50 ms':>9}{'p99 ms':>9}{'1/s':>10}")
    for key, title in (
        ("tcp", "(a) raw asyncio TCP echo, 5 processes"),
        ("grpc", "(b) unary grpc.aio, 5 processes, traced"),
    ):
        if key in found:
            _row(title, found[key]["p50_ms"], found[key]["p99_ms"], found[key]["rate"])
    if "path" in found:
        _show_path(found)
    if "up" in found:
        up = found["up"]
        _aim("first order after `holdfast up`, s", up["first_order_secs"], AIM_FIRST_ORDER_SECS, "at most")
        _aim("memory of all processes, MiB (PSS)", up["pss_mib"], AIM_MEMORY_MIB, "below")
        print(f"   the same as a sum of RSS, shared pages counted each time: {up['rss_mib']:.0f} MiB")
    if "day" in found:
        day = found["day"]
        _aim("a replayed day in lock-step, s", day["secs"], AIM_DAY_SECS, "below")
        print(f"   CPU {day['cpu_secs']:.1f} s; a round of reconciliation {day['reconciliation_p50_ms']:.1f} ms (p50)")
    if "venue" in found:
        venue_speed.show(found["venue"])
    if "backtest" in found:
        backtest_speed.show(found["backtest"])


def _show_path(found: dict[str, Any]) -> None:
    path = found["path"]
    stages = path["stages"]
    _row("(c) cycle published → order sent, one in flight", *stages["sent"])
    _row("    cycle published → decisions and intent durable", *stages["committed"])
    _row("(d) signals decided and committed, cycles of 64", rate=path["rate"])
    print("    stages after publication, p50 ms: " + ", ".join(f"{k} {v[0]:.2f}" for k, v in stages.items()))
    for title, key in (("(c)", "cpu_ms"), ("(d)", "rate_cpu_ms")):
        told = ", ".join(f"{name} {ms:.1f}" for name, ms in path[key].items())
        print(f"    CPU ms a cycle {title}: {told}; together {sum(path[key].values()):.1f}")
    if "grpc" in found:
        _aim("(c) p50 ÷ (b) p50", stages["sent"][0] / found["grpc"]["p50_ms"], AIM_LATENCY, "at most")
        _aim("(d) ÷ (b) rate", path["rate"] / found["grpc"]["rate"], AIM_RATE, "at least")


def _row(title: str, p50: float | None = None, p99: float | None = None, rate: float | None = None) -> None:
    cells = ((p50, 9), (p99, 9), (rate, 10))
    print(f"{title:58}" + "".join(" " * width if value is None else f"{value:{width}.2f}" for value, width in cells))


def _aim(title: str, value: float, aim: float, how: str) -> None:
    print(f"{title:58}{value:9.2f}   aim: {how} {aim:g}")


if __name__ == "__main__":
    main()
