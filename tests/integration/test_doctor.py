"""`holdfast doctor` on a running stack: all is well, and an edge that is cut is named with what to do (IN-8, SE-5)."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast_catalogue.registry import SERVICES
from holdfast_runtime.identity import Authority
from tests.integration.stack import HOLDFAST, Stack, eventually, running
from tests.integration.visitor import health

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

PATIENCE_SECS = 60.0
TOPOLOGY = Path("deploy/helm/holdfast/files/topology.yaml")

Checks = dict[str, dict[str, dict[str, Any]]]
"""By service and name."""


def command(stack: Stack, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(HOLDFAST), *words, "--state-dir", str(stack.state_dir)],
        capture_output=True, text=True, timeout=PATIENCE_SECS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def doctor(stack: Stack) -> tuple[int, Checks]:
    """Exit code, and every check by service and name."""
    code, text = command(stack, "doctor", "--json")
    found = json.loads(text)["examinations"]
    return code, {each["service"]: {check["check"]: check for check in each["checks"]} for each in found}


def all_well(stack: Stack) -> Checks | None:
    """Every check, where all of them are OK. A doubtful one is no RED: the exit code is 0 all the same."""
    code, found = doctor(stack)
    verdicts = {each["verdict"] for checks in found.values() for each in checks.values()}
    return found if (code, verdicts) == (0, {"OK"}) else None


def red(found: Checks) -> set[tuple[str, str]]:
    """Service and check of what is RED."""
    return {(s, name) for s, checks in found.items() for name, each in checks.items() if each["verdict"] == "RED"}


def red_first(text: str) -> bool:
    return -1 < text.find("RED") < text.find("OK")


def swap_identity(folder: Path, service: str) -> dict[Path, bytes]:
    """Gives `service` a certificate of an authority that nobody trusts; returns what was there."""
    stranger = Authority(now=datetime.now(UTC)).issue(service)
    fresh = {folder / f"{service}.crt": stranger.certificate, folder / f"{service}.key": stranger.key}
    before = {path: path.read_bytes() for path in fresh}
    put(fresh)
    return before


def put(files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        path.write_bytes(content)


def calls_of_the_chart() -> dict[str, set[str]]:
    """The checks of all calls between services that the chart's policies let through: nobody else may try them."""
    rows = yaml.safe_load(TOPOLOGY.read_text())["services"]
    return {s: {f"call {each}" for each, ports in rows[s]["calls"].items() if "grpc" in ports} for s in SERVICES}


def restart(stack: Stack, service: str) -> None:
    stack.wait_for_restart(service, stack.kill(service))


def test_the_doctor_finds_all_well_and_names_an_edge_that_is_cut(tmp_path: Path) -> None:
    with running(tmp_path, "--speed", "60") as stack:
        eventually(lambda: all(health(stack, each, "readiness") for each in SERVICES), "every service is ready")
        # Streams are caught up with a moment later, and on a machine that is very busy an answer may be late for once.
        found = eventually(lambda: all_well(stack), "all is well")
        assert list(found) == list(SERVICES)
        everywhere = set.intersection(*(set(checks) for checks in found.values()))
        assert everywhere == {"bus", "certificate", "secrets", "disk", "call papermarket"}
        called = {s: {name for name in checks if name.startswith("call ")} for s, checks in found.items()}
        assert called == calls_of_the_chart()
        assert {"ledger", "broker", "trade updates", "clock of the venue", "calendar"} <= found["execution"].keys()
        assert {"market data equity", "stream equity"} <= found["signal"].keys()

        certificates = str(stack.folder / "certificates")
        address = stack.settings["endpoints"]["admin"]

        def well_by_address() -> bool:
            code, text = command(stack, "doctor", "--admin", address, "--certificates", certificates)
            return code == 0 and "checks are OK" in text

        eventually(well_by_address, "all is well, asked by address")

        before = swap_identity(stack.folder / "certificates", "gate")
        restart(stack, "gate")
        eventually(lambda: health(stack, "gate", "liveness"), "gate lives")

        def only_gate_is_cut_off() -> Checks | None:
            code, found = doctor(stack)
            cut = red(found)
            named = {("scoring", "call gate"), ("gate", "call execution"), ("gate", "call signal")} <= cut
            return found if code == 1 and named and {service for service, _ in cut} == {"scoring", "gate"} else None

        found = eventually(only_gate_is_cut_off, "the edges of gate are RED, and no others")
        assert found["scoring"]["call gate"]["steps"]
        assert "CERTIFICATE_VERIFY_FAILED" in found["scoring"]["call gate"]["evidence"]
        eventually(lambda: red_first(command(stack, "doctor")[1]), "both are told, RED first")
        # The sentinels look every 2 s at what was found, and admin hears of it a moment later.
        eventually(lambda: "edge.cut" in command(stack, "ready")[1], "`holdfast ready` names the edge")

        put(before)
        restart(stack, "gate")
        eventually(lambda: health(stack, "gate", "readiness"), "gate is ready")
        eventually(lambda: doctor(stack)[0] == 0, "all is well again")
