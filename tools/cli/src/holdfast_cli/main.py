"""The `holdfast` command.

What speaks to the bus is imported by the commands that do: no other command waits for it.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from holdfast_cli import (
    certificates,
    claim_command,
    fault_commands,
    recording_commands,
    report_command,
    run_commands,
    simulate_command,
    strategy_commands,
)
from holdfast_cli import doctor as doctor_command
from holdfast_cli import ready as ready_command
from holdfast_cli import status as status_command
from holdfast_cli import up as up_command
from holdfast_cli.command_line import (
    EXIT_NOT_READY,
    ConfigOption,
    StateOption,
    console,
    errors,
    fail,
    latest_run_of,
    settings_of,
    stack_of,
)
from holdfast_cli.trace_view import TraceNotFound, show
from holdfast_runtime.config import dump_settings

app = typer.Typer(
    help="Holdfast runs trading strategies as small services that stay safe when anything around them fails.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(run_commands.up)
app.command()(run_commands.backtest)
config_app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(strategy_commands.app, name="strategy")
app.add_typer(fault_commands.app, name="faults")
app.command("certificates")(certificates.command)
bus_app = typer.Typer(help="The streams and buckets of the bus.", no_args_is_help=True)
app.add_typer(bus_app, name="bus")
app.add_typer(recording_commands.app, name="recording")
app.command("simulate")(simulate_command.command)
app.command("claim")(claim_command.command)


@app.command()
def status(state_dir: StateOption = None) -> None:
    """Show the newest run: its processes, market time and the dashboard's address.

    Exit codes: 0 all ready, 1 something is not.
    """
    if not asyncio.run(status_command.show(latest_run_of(state_dir).resolve(), console)):
        raise typer.Exit(EXIT_NOT_READY)


@app.command()
def ready(state_dir: StateOption = None) -> None:
    """List what stands between now and GREEN, with what to do about it: in the newest run, or in a pod its release.

    Exit codes: 0 GREEN and every box of the checklist ticked, 1 not.
    """
    if not asyncio.run(ready_command.show(stack_of(state_dir), console)):
        raise typer.Exit(EXIT_NOT_READY)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    admin: Annotated[str, typer.Option(help="host:port of admin's gRPC, as of kubectl port-forward.")] = "",
    certificates: Annotated[
        Path | None, typer.Option(help="With --admin: folder of operator.crt, operator.key and ca.crt.")
    ] = None,
    state_dir: StateOption = None,
) -> None:
    """Have every service examine its edges now, and say what to do about what is wrong: newest run, or in a pod.

    Exit codes: 0 nothing is RED, 1 something is.
    """
    if not admin:
        work = doctor_command.of_stack(stack_of(state_dir))
    elif certificates is None:
        fail("--admin: give --certificates too")
    else:
        work = doctor_command.of_admin_at(admin, certificates)
    if not doctor_command.show(asyncio.run(work), console, as_json=as_json):
        raise typer.Exit(EXIT_NOT_READY)


@app.command()
def report(
    until_end: Annotated[bool, typer.Option("--until-end", help="Wait until the recording has ended.")] = False,
    to: Annotated[Path, typer.Option("--to", help="Write the JSON report here; -: the standard output.")] = Path("-"),
    state_dir: StateOption = None,
) -> None:
    """Make the JSON report of the stack as it is now: the newest run's, or in a pod that of its own release.

    Exit codes: 0 made, 1 it could not be made, 2 wrong usage, 3 an invariant does not hold.
    """
    files = stack_of(state_dir)
    work = report_command.run(files, errors, until_end=until_end, report_file=to)
    raise typer.Exit(up_command.run_blocking(work))


@app.command("test")
def trial(
    jaeger: Annotated[str, typer.Option(help="Base of Jaeger's query API: finds the signal's trace, too.")] = "",
    state_dir: StateOption = None,
) -> None:
    """Send one signal that can never trade down the whole chain, and find its decision and its trace.

    Needs a bus with certificates, as in a cluster. Exit codes: 0 it went its whole way, 1 it did not.
    """
    from holdfast_cli import trial as trial_command

    if not asyncio.run(trial_command.run(stack_of(state_dir), console, jaeger=jaeger)):
        raise typer.Exit(EXIT_NOT_READY)


@bus_app.command("apply")
def bus_apply(state_dir: StateOption = None) -> None:
    """Make every stream and bucket as it is declared: of the newest run, or in a pod of its own release.

    Exit codes: 0 all are as declared, 1 the bus is away or refuses a change, 2 wrong usage.
    """
    from holdfast_cli import bus_command

    raise typer.Exit(bus_command.run(stack_of(state_dir), console, errors))


@app.command()
def token(state_dir: StateOption = None) -> None:
    """Print the dashboard's token of the newest run."""
    file = latest_run_of(state_dir) / "admin.token"
    try:
        console.print(Text(file.read_text()), soft_wrap=True)
    except OSError as error:
        fail(f"{file}: {error.strerror}: start a run with `holdfast up`")


@app.command()
def trace(
    subject: Annotated[str, typer.Argument(help="A signal id, a client order id, a broker order id or a trace id.")],
    state_dir: StateOption = None,
) -> None:
    """Print the way of a signal or an order through the services, with times."""
    try:
        show(latest_run_of(state_dir), subject, console)
    except TraceNotFound as error:
        fail(str(error))


@config_app.command("check")
def config_check(config: ConfigOption = None) -> None:
    """Check a configuration and print it whole, with its defaults."""
    console.print(Text(dump_settings(settings_of(config, {}))), soft_wrap=True)


if __name__ == "__main__":
    app()
