"""What `holdfast up` puts on disk before it starts anything: secrets, keys, ports, old runs (SE-1, SE-2, SE-4)."""

import os
import socket
import stat
from pathlib import Path

import pytest

from holdfast_cli import plan as plans
from holdfast_cli.plan import BROKER_KEYS, BUS, KEPT_RUNS, OPERATOR, SERVICES, VENUE_SERVICE, Plan, lay_out
from holdfast_runtime.config import InvalidConfiguration, load_settings
from holdfast_runtime.identity import load_identity
from holdfast_runtime.settings import AdminSettings, Settings, VenueKind, VenueSettings

NOBODY = 2**31 - 1
"""No process has this id: Linux gives none above 2**22."""
KEYS = {"ALPACA_API_KEY": "key-of-the-account", "ALPACA_SECRET_KEY": "secret-of-the-account"}


def paper(tmp_path: Path, environ: dict[str, str] | None = None, **settings: object) -> Plan:
    return lay_out(Settings.model_validate({"state_dir": tmp_path} | settings), environ or {}, live=False)


def alpaca(tmp_path: Path, **account: object) -> Plan:
    settings = Settings.model_validate({"state_dir": tmp_path, "venue": {"kind": "alpaca"}, "account": account})
    return lay_out(settings, KEYS, live=False)


def started(plan: Plan, pid: int) -> Plan:
    """With one process, as the supervisor leaves its id behind."""
    (plan.folder / "logs" / "gate.pid").write_text(str(pid))
    return plan


def secrets_of(plan: Plan) -> dict[str, set[str]]:
    return {folder.name: {file.name for file in folder.iterdir()} for folder in (plan.folder / "secrets").iterdir()}


def test_each_service_gets_the_secrets_it_needs_and_no_other(tmp_path: Path) -> None:
    """SE-1: neither scoring nor gate nor admin ever holds the broker's keys."""
    found = secrets_of(paper(tmp_path))
    trading = {"NATS_TOKEN", *BROKER_KEYS}
    assert found == {
        **dict.fromkeys(("execution", "signal", "reconciliation", VENUE_SERVICE), trading),
        "gate": {"NATS_TOKEN"},
        "scoring": {"NATS_TOKEN"},
        "admin": {"NATS_TOKEN", "ADMIN_TOKEN"},
    }


def test_only_the_owner_may_read_secrets_and_keys(tmp_path: Path) -> None:
    """SE-4"""
    plan = paper(tmp_path)
    files = [*(plan.folder / "secrets").rglob("*/*"), *(plan.folder / "certificates").glob("*.key")]
    files += [plan.folder / "admin.token", plan.folder / "nats" / "nats-server.conf"]
    assert len(files) > 20
    assert {oct(stat.S_IMODE(file.stat().st_mode)) for file in files} == {"0o600"}
    folders = [*(plan.folder / "secrets").iterdir(), plan.folder / "certificates"]
    assert {oct(stat.S_IMODE(folder.stat().st_mode)) for folder in folders} == {"0o700"}


def test_a_secret_written_over_a_readable_file_is_readable_no_more(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o644)
    plans.write_secret(file, "value")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_secret_stands_in_configuration_environment_or_arguments(tmp_path: Path) -> None:
    """SE-2: children read secrets from files alone."""
    environ = {"NATS_TOKEN": "token-of-the-bus", "ADMIN_TOKEN": "somebody's", "PATH": "/bin", **KEYS}
    plan = paper(tmp_path, environ)
    values = {file.read_text() for file in (plan.folder / "secrets").rglob("*/*")} | set(KEYS.values())
    assert len(values) >= 6
    shown = (plan.folder / "holdfast.yaml").read_text() + repr(plan)
    assert [value for value in values if value in shown] == []
    for process in plan.processes:
        assert not {"NATS_TOKEN", "ADMIN_TOKEN", *BROKER_KEYS} & process.environment.keys()
    assert (plan.folder / "secrets" / "gate" / "NATS_TOKEN").read_text() == "token-of-the-bus"


def test_keys_of_a_paper_run_are_made_for_it_and_those_of_alpaca_are_handed_on(tmp_path: Path) -> None:
    first, second = paper(tmp_path / "a", KEYS), paper(tmp_path / "b", KEYS)
    made = [(plan.folder / "secrets" / "signal" / "ALPACA_API_KEY").read_text() for plan in (first, second)]
    assert made[0] != made[1]
    assert KEYS["ALPACA_API_KEY"] not in made
    real = alpaca(tmp_path / "c").folder / "secrets"
    assert (real / "execution" / "ALPACA_SECRET_KEY").read_text() == KEYS["ALPACA_SECRET_KEY"]
    assert not (real / VENUE_SERVICE).exists()


def test_what_the_command_line_said_holds_in_every_process(tmp_path: Path) -> None:
    """Options go over the environment: so the environment's settings, already read, go no further."""
    environ = {"HOLDFAST__REPLAY__SPEED": "60", "PATH": "/bin"}
    given = load_settings(None, environ, {"replay": {"speed": 0}, "state_dir": str(tmp_path)})
    plan = lay_out(given, environ, live=False)
    for process in plan.processes:
        if process.name != BUS:
            config = Path(process.environment["HOLDFAST_CONFIG"])
            assert load_settings(config, process.environment, None).replay.speed == 0
            assert process.environment["PATH"] == "/bin"


def test_every_service_has_ports_and_a_certificate_of_its_own(tmp_path: Path) -> None:
    plan = paper(tmp_path)
    services = (VENUE_SERVICE, *SERVICES)
    names = {f"{service}{kind}" for service in services for kind in ("", ".health", ".metrics")}
    addresses = plan.settings.endpoints
    assert set(addresses) == names | {"papermarket.http"}
    assert len(set(addresses.values())) == len(addresses)
    for service in (*services, OPERATOR):
        assert load_identity(plan.folder / "certificates", service).service == service
    assert [process.name for process in plan.processes] == [BUS, *services]


def test_the_dashboard_takes_another_port_where_its_own_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = paper(tmp_path, admin=AdminSettings(port=port).model_dump())
    assert plan.settings.admin.port != port
    assert plan.dashboard_url == f"http://127.0.0.1:{plan.settings.admin.port}/"


def test_old_paper_runs_go_and_a_brokers_ledger_stays(tmp_path: Path) -> None:
    """The state folder stays bounded; what a broker account did is never deleted, whatever the account is called."""
    accounts = ("20260101", "paper", "1")
    for account in accounts:
        alpaca(tmp_path, id=account)
    runs = tmp_path / "runs"
    old = [runs / f"20200101T00000{n}-1" for n in range(8)]
    for folder in old:
        folder.mkdir()
    plan = paper(tmp_path)
    left = {folder.name for folder in runs.iterdir()}
    assert left == {*accounts, plan.run_id, *(folder.name for folder in old[-(KEPT_RUNS - 1) :])}
    assert plans.latest_run(tmp_path) == plan.folder


def test_a_broker_account_goes_on_in_its_own_folder(tmp_path: Path) -> None:
    """Its ledger is found again after a restart."""
    first = alpaca(tmp_path, id="mine")
    first.release()
    second = alpaca(tmp_path, id="mine")
    assert first.folder == second.folder == (tmp_path / "runs" / "mine").resolve()


def test_an_account_that_runs_already_is_refused(tmp_path: Path) -> None:
    """A second start would write its own ports and keys over those of the first."""
    first = alpaca(tmp_path, id="mine")
    written = (first.folder / "holdfast.yaml").read_text()
    with pytest.raises(InvalidConfiguration, match="another `holdfast up` runs there"):
        alpaca(tmp_path, id="mine")
    assert (first.folder / "holdfast.yaml").read_text() == written


def test_a_run_that_still_goes_on_is_not_deleted_as_an_old_one(tmp_path: Path) -> None:
    going_on = paper(tmp_path)
    for n in range(2 * KEPT_RUNS):
        (tmp_path / "runs" / f"20990101T00000{n}-1").mkdir()
    alpaca(tmp_path, id="mine")
    assert (going_on.folder / "holdfast.yaml").exists()


def test_services_are_pointed_at_papermarket_only_in_a_paper_run(tmp_path: Path) -> None:
    on_paper = paper(tmp_path / "a").settings.venue
    assert on_paper.trading_url.startswith("http://127.0.0.1:")
    assert on_paper.data_stream_url.startswith("ws://127.0.0.1:")
    assert alpaca(tmp_path / "b").settings.venue == VenueSettings(kind=VenueKind.ALPACA)


def test_a_bus_that_is_given_is_used_and_none_started(tmp_path: Path) -> None:
    plan = paper(tmp_path, bus={"url": "nats://bus.example:4222"})
    assert plan.settings.bus.url == "nats://bus.example:4222"
    assert BUS not in [process.name for process in plan.processes]


def test_there_is_no_latest_run_before_the_first(tmp_path: Path) -> None:
    assert plans.latest_run(tmp_path) is None
    assert plans.latest_run(tmp_path / "nowhere") is None


def test_a_second_run_that_has_ended_does_not_hide_the_one_that_goes_on(tmp_path: Path) -> None:
    """Commands that look at a run, `holdfast ready` and `strategy stop` too, mean the one that trades."""
    trading = started(alpaca(tmp_path, id="mine"), os.getpid())
    second = started(paper(tmp_path), os.getpid())
    assert plans.latest_run(tmp_path) == second.folder
    started(second, NOBODY)
    assert plans.latest_run(tmp_path) == trading.folder
    started(trading, NOBODY)
    assert plans.latest_run(tmp_path) == second.folder
    assert plans.has_ended(second.folder)


def test_a_run_whose_processes_are_not_started_yet_has_not_ended(tmp_path: Path) -> None:
    plan = paper(tmp_path)
    assert not plans.has_ended(plan.folder)
    assert plans.latest_run(tmp_path) == plan.folder


def test_an_account_whose_run_begins_again_has_not_ended(tmp_path: Path) -> None:
    before = started(alpaca(tmp_path, id="mine"), NOBODY)
    assert plans.has_ended(before.folder)
    before.release()
    assert not plans.has_ended(alpaca(tmp_path, id="mine").folder)


@pytest.mark.parametrize("text", ["", "1 2", None])
def test_what_is_no_process_id_is_no_process(text: str | None, tmp_path: Path) -> None:
    """A file that a full disk has cut, or that went while it was looked for."""
    file = tmp_path / "gate.pid"
    if text is not None:
        file.write_text(text)
    assert plans.process_of(file) is None


def test_live_is_told_to_the_services_as_it_was_said(tmp_path: Path) -> None:
    """Nothing in the caller's environment can turn that key."""
    plan = paper(tmp_path, {"HOLDFAST_LIVE": "1"})
    told = {process.environment.get("HOLDFAST_LIVE") for process in plan.processes if process.name != BUS}
    assert told == {"0"}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        paper(tmp_path)
