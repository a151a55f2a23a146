"""`holdfast strategy`: what each strategy does and holds; stop one, start it again (SQ-10, SQ-12, SQ-14)."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast_cli.admin_api import TOKEN, AdminApi, admin_at, admin_of_run
from holdfast_cli.command_line import EXIT_NOT_READY, StateOption, console, errors, fail, running_of
from holdfast_core.new_york import NEW_YORK
from holdfast_runtime.errors import Code, Refused, Retry

app = typer.Typer(
    help="Look at the strategies of a running stack; stop one, start it again.\n\n"
    "Through admin's API, so that it is authenticated and audited: of the newest run, or with --admin of any.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its id in the configuration.")]
NoteOption = Annotated[str, typer.Option("--note", help="Why, for the record.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AdminOption = Annotated[
    str,
    typer.Option("--admin", help=f"http://host:port of admin, as of kubectl port-forward; its token in {TOKEN}."),
]
STYLES = {"running": "green", "stopped": "yellow", "failed": "bold red"}
USED_WRONGLY = (Code.NOT_FOUND, Code.INVALID_ARGUMENT)


@app.command("list")
def list_all(as_json: JsonOption = False, admin: AdminOption = "", state_dir: StateOption = None) -> None:
    """Print every strategy: its state, where its trades stand, what it holds, open orders, since when and why.

    Exit codes: 0 told, 1 admin does not answer, 2 wrong usage.
    """
    with admin_meant(admin, state_dir) as api:
        found, connection = api.get("strategies"), api.get("broker-connection")
    if as_json:
        _print_json(found)
        return
    if connection["expired"]:
        tell_expired(connection, console)
    tell_all(found, console)


@app.command()
def show(
    name: NameArgument, as_json: JsonOption = False, admin: AdminOption = "", state_dir: StateOption = None
) -> None:
    """Print all of one strategy: its positions with their stops, its open orders, its halts.

    Exit codes: 0 told, 1 admin does not answer, 2 wrong usage or no such strategy.
    """
    with admin_meant(admin, state_dir) as api:
        found = api.get(_path(name))
    if as_json:
        _print_json(found)
    else:
        tell(found, console)


@app.command()
def stop(name: NameArgument, note: NoteOption, admin: AdminOption = "", state_dir: StateOption = None) -> None:
    """Stop a strategy: it opens nothing until a person starts it. Its stops stay at the broker, and sales go on.

    Exit codes: 0 stopped, 1 admin or execution does not answer, 2 wrong usage or no such strategy.
    """
    with admin_meant(admin, state_dir) as api:
        tell(api.post(f"{_path(name)}/stop", {"note": note}), console)


@app.command()
def start(name: NameArgument, note: NoteOption, admin: AdminOption = "", state_dir: StateOption = None) -> None:
    """Start a strategy that was stopped, or has failed. What a safety abort of it held back goes on.

    Exit codes: 0 it runs, 1 refused as things stand or no answer, 2 wrong usage or no such strategy.
    """
    with admin_meant(admin, state_dir) as api:
        tell(api.post(f"{_path(name)}/start", {"note": note}), console)


def tell_all(found: list[dict[str, Any]], out: Console) -> None:
    """A row a strategy."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("strategy", "state", "trades", "held", "open orders", "since", "why"):
        table.add_column(title)
    for each in found:
        held = ", ".join(f"{position['quantity']} {position['symbol']}" for position in each["positions"])
        table.add_row(
            Text(each["strategy"], "bold"),
            _state(each),
            Text(each["trade_state"]),
            Text(held or "nothing"),
            Text(str(len(each["open_orders"]))),
            Text(_at(each["since"])),
            Text(_why(each), "dim"),
        )
    out.print(table)


def tell(each: dict[str, Any], out: Console) -> None:
    """Everything about one."""
    since = f"  since {_at(each['since'])}" if each["since"] else ""
    out.print(
        Text.assemble((each["strategy"], "bold"), "  ", _state(each), f"  {each['trade_state']}", (since, "dim")),
        soft_wrap=True,
    )
    if why := _why(each):
        out.print(Text(f"  {why}"), soft_wrap=True)
    _part(out, "positions", [_position(one) for one in each["positions"]])
    _part(out, "open orders", [_order(one) for one in each["open_orders"]])
    _part(out, "halts", [_halt(one) for one in each["halts"]])


def tell_expired(connection: dict[str, Any], out: Console) -> None:
    """SQ-14: in the same words as on the page, with what to do."""
    out.print(Text.assemble((connection["text"], "bold red"), f"  {connection['reason']}"), soft_wrap=True)
    for number, step in enumerate(connection["what_to_do"], 1):
        out.print(Text(f"  {number}. {step}"), soft_wrap=True)


def _part(out: Console, title: str, lines: list[str]) -> None:
    out.print(Text(title if lines else f"{title}: none", "dim"))
    for line in lines:
        out.print(Text(f"  {line}"), soft_wrap=True)


def _state(each: dict[str, Any]) -> Text:
    return Text(each["state"], STYLES.get(each["state"], ""))


def _why(each: dict[str, Any]) -> str:
    by = f" (by {each['set_by']})" if each["set_by"] else ""
    return f"{each['reason']}{by}" if each["reason"] else ""


def _position(one: dict[str, Any]) -> str:
    stop = f"stop {one['stop_price']} for {one['stop_quantity']}, " if one["stop_price"] else ""
    owner = f", sold by {one['exit_owner']}" if one["exit_owner"] else ""
    return f"{one['quantity']} {one['symbol']} at {one['average_price']}; {stop}protection {one['protection']}{owner}"


def _order(one: dict[str, Any]) -> str:
    limit = f" limit {one['limit_price']}" if one["limit_price"] else ""
    stop = f" stop {one['stop_price']}" if one["stop_price"] else ""
    reason = f" ({one['reason']})" if one["reason"] else ""
    filled = f", {one['filled_quantity']} filled" if one["filled_quantity"] != "0" else ""
    return (
        f"{one['purpose']}: {one['side']} {one['quantity']} {one['symbol']}{limit}{stop}, "
        f"{one['state']}{filled}{reason}  {one['intent_id']}"
    )


def _halt(one: dict[str, Any]) -> str:
    scope = f" of {one['symbol']}" if one["symbol"] else ""
    return f"{one['kind']}{scope}: {one['reason']}  since {_at(one['since'])}"


def _at(since: str | None) -> str:
    return f"{datetime.fromisoformat(since).astimezone(NEW_YORK):%a %d %b %H:%M:%S} ET" if since else ""


def _path(name: str) -> str:
    return f"strategies/{quote(name, safe='')}"


def _print_json(found: object) -> None:
    console.print(Text(json.dumps(found, indent=2)), soft_wrap=True)


@contextmanager
def admin_meant(base: str, state_dir: Path | None) -> Iterator[AdminApi]:
    """The admin that is meant. What it refuses, or cannot answer now, ends the command with a sentence."""
    try:
        if not base:
            with admin_of_run(running_of(state_dir)) as api:
                yield api
        elif token := os.environ.get(TOKEN):
            with admin_at(base, token) as api:
                yield api
        else:
            fail(f"--admin: give its token in {TOKEN}")
    except Refused as error:
        if error.code in USED_WRONGLY:
            fail(str(error))
        _give_up(str(error))
    except Retry as error:
        _give_up(str(error))


def _give_up(message: str) -> None:
    errors.print(Text(f"holdfast: {message}"), soft_wrap=True)
    raise typer.Exit(EXIT_NOT_READY)
