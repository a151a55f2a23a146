"""Runs `holdfast up` as a user does, and looks at it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

HOLDFAST = Path(sys.executable).with_name("holdfast")
LIMIT_SECS = 240.0
LOOK_EVERY_SECS = 0.05
LONGEST_RUN_SECS = 1500.0
STALLED_SECS = 90.0

COMPARED_ORDER_FIELDS = (
    "intent_id", "strategy", "symbol", "side", "purpose", "state", "type", "quantity",
    "limit_price", "stop_price", "filled_quantity", "filled_average_price",
)  # fmt: skip
COMPARED_FILL_FIELDS = ("symbol", "strategy", "side", "quantity", "price", "realised_pnl", "filled_at", "intent_id")


def eventually(condition: Callable[[], Any], what: str, limit_secs: float = LIMIT_SECS) -> Any:
    """Waits until `condition` gives something true and returns it. Fails naming `what` after the limit."""
    give_up = time.monotonic() + limit_secs
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(LOOK_EVERY_SECS)
    raise AssertionError(f"not within {limit_secs} s: {what}")


class Stack:
    """One running `holdfast up`."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        config: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.state_dir = folder / "state"
        self.report_file = folder / "report.json"
        self.output_file = folder / "output.txt"
        command = [str(HOLDFAST), "up", "--state-dir", str(self.state_dir), *options]
        if config is not None:
            file = folder / "config.yaml"
            file.write_text(yaml.safe_dump(config))
            command += ["--config", str(file)]
        if "--until-end" in options:
            command += ["--report", str(self.report_file)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ALPACA_", "HOLDFAST__", "OTEL_"))}
        self._output = self.output_file.open("wb")
        self.process = subprocess.Popen(
            command, stdout=self._output, stderr=self._output, env=inherited | (environment or {}), cwd=folder
        )

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return eventually(lambda: (self.state_dir / "latest").exists() and (self.state_dir / "latest"), "a run folder")

    @cached_property
    def settings(self) -> dict[str, Any]:
        file = eventually(lambda: (f := self.folder / "holdfast.yaml").exists() and f, "the run's configuration")
        found: dict[str, Any] = yaml.safe_load(file.read_text())
        return found

    def venue(self, page: str) -> dict[str, Any] | None:
        """papermarket's own JSON; None while it is away."""
        try:
            address = f"http://{self.settings['endpoints']['papermarket.http']}/papermarket/v1/{page}"
            with urllib.request.urlopen(address, timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return None

    def wait_for_tick(self, number: int) -> None:
        """Until the venue has come as far as tick `number`."""

        def reached() -> bool:
            assert self.process.poll() is None, f"the stack has ended: {self.process.returncode}\n{self.output}"
            status = self.venue("status")
            return status is not None and status["tick"] >= number

        eventually(reached, f"tick {number}")

    def kill(self, service: str) -> int:
        """kill -9. Returns the process id that was killed."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def pid(self, service: str) -> int:
        return int((self.folder / "logs" / f"{service}.pid").read_text())

    def wait_for_restart(self, service: str, old_pid: int) -> None:
        eventually(lambda: self.pid(service) != old_pid, f"{service} restarted")

    def report(self, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """The report of a run `--until-end`, at its end. `codes`: exit codes with which it may end."""
        self._wait_while_moving(lambda _: self.process.poll() is not None)
        code = self.process.returncode
        assert code in codes, f"exit code {code}\n{self.output}"
        found: dict[str, Any] = json.loads(self.report_file.read_text())
        return found

    def wait_for_end(self) -> None:
        """Waits until the recording is replayed and everything has settled; the stack goes on."""

        def over(status: dict[str, Any]) -> bool:
            assert self.process.poll() is None, f"the stack has ended: {self.process.returncode}\n{self.output}"
            return bool(status.get("ended") and status.get("settled", True))

        self._wait_while_moving(over)

    def _wait_while_moving(self, over: Callable[[dict[str, Any]], bool]) -> None:
        """Until `over` of papermarket's status. Fails with what it waits for where the replay stands still."""
        seen: dict[str, Any] = {}
        moved_at = time.monotonic()

        def done() -> bool:
            nonlocal seen, moved_at
            status = self.venue("status") or seen
            if over(status):
                return True
            if status.get("tick") != seen.get("tick"):
                seen, moved_at = status, time.monotonic()
            assert time.monotonic() - moved_at < STALLED_SECS, f"the replay stands still: {status}"
            return False

        eventually(done, "the end of the recording", limit_secs=LONGEST_RUN_SECS)

    @property
    def output(self) -> str:
        return self.output_file.read_text()[-4000:]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self._output.close()


@contextmanager
def running(
    folder: Path, *options: str, config: dict[str, Any] | None = None, environment: dict[str, str] | None = None
) -> Iterator[Stack]:
    """A stack that is stopped in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    stack = Stack(folder, *options, config=config, environment=environment)
    try:
        yield stack
    finally:
        stack.stop()


def backtest(folder: Path, *options: str) -> dict[str, Any]:
    """The report of `holdfast backtest`."""
    file = folder / "backtest.json"
    subprocess.run([HOLDFAST, "backtest", *options, "--report", file], check=True, cwd=folder)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """What two runs of the same recording must have in common; broker-made and client order ids are left out."""
    return {
        "orders": sorted(
            ({field: order[field] for field in COMPARED_ORDER_FIELDS} for order in report["orders"]), key=json.dumps
        ),
        "fills": sorted(
            ({field: fill[field] for field in COMPARED_FILL_FIELDS} for fill in report["fills"]), key=json.dumps
        ),
        **{key: report[key] for key in ("cash", "equity", "realised_pnl", "unrealised_pnl", "decisions")},
    }


SHOWN_DIFFERENCES = 12


def assert_alike(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Two reports of the same recording agree. Fails with what differs alone, few lines: a log may be cut."""
    assert not (different := differences(comparable(found), comparable(expected))), different


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """The first rows and values that only one side has, in words; empty where both are equal."""
    told: list[str] = []
    for key, value in expected.items():
        if not isinstance(value, list):
            told += [f"{key}: {found[key]}, not {value}"] if found[key] != value else []
            continue
        has, wanted = (Counter(json.dumps(row) for row in rows) for rows in (found[key], value))
        told += [f"{key}: has {row}" for row in (has - wanted).elements()]
        told += [f"{key}: lacks {row}" for row in (wanted - has).elements()]
    left_out = [f"and {len(told) - SHOWN_DIFFERENCES} more"] if len(told) > SHOWN_DIFFERENCES else []
    return "\n".join(told[:SHOWN_DIFFERENCES] + left_out)
