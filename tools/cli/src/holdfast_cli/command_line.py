"""What the commands share: their options, the configuration they mean, the run they look at, and how they refuse."""

import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from holdfast_cli import plan as plans
from holdfast_cli.stack_calls import StackFiles, files_of_run, mounted_files
from holdfast_runtime.config import InvalidConfiguration, load_settings
from holdfast_runtime.settings import Settings
from holdfast_signal.strategy import makers_of

EXIT_NOT_READY = 1
EXIT_USAGE = 2
DEFAULT_CONFIG = Path(__file__).with_name("default.yaml")
OWN_CONFIG = Path("holdfast.yaml")

console = Console()
errors = Console(stderr=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration. Default: holdfast.yaml here, else the built-in one."),
]
StateOption = Annotated[Path | None, typer.Option("--state-dir", help="Where runs are kept. Default: .holdfast here.")]


def settings_of(config: Path | None, overrides: dict[str, Any]) -> Settings:
    """The configuration that is meant, with `overrides` over it. Fails where it, or a strategy in it, is refused."""
    file = config or (OWN_CONFIG if OWN_CONFIG.exists() else DEFAULT_CONFIG)
    if not file.exists():
        fail(f"{file}: there is no such configuration file")
    try:
        settings = load_settings(file, os.environ, overrides)
        makers_of(settings.strategies)
    except InvalidConfiguration as error:
        fail(f"the configuration is refused\n{error}")
    return settings


def stack_of(state_dir: Path | None) -> StackFiles:
    """The stack that is meant: in a pod the mounted one, else the newest run, which must go on."""
    mounted = mounted_files(os.environ) if state_dir is None else None
    return mounted or files_of_run(running_of(state_dir))


def running_of(state_dir: Path | None) -> Path:
    """Folder of the newest run. Fails where there is none, or it has ended."""
    folder = latest_run_of(state_dir)
    if plans.has_ended(folder):
        fail(f"run {folder.name} has ended: start one with `holdfast up`")
    return folder


def latest_run_of(state_dir: Path | None) -> Path:
    """Folder of the newest run. Fails where there is none."""
    folder = plans.latest_run(state_dir or Path(".holdfast"))
    if folder is None:
        fail(f"no run in {state_dir or Path('.holdfast')}: start one with `holdfast up`")
    return folder


def fail(message: str) -> NoReturn:
    """Ends the command as one that was used wrongly, with a sentence."""
    # As it is: what a user typed may look like markup.
    errors.print(Text(f"holdfast: {message}"), soft_wrap=True)
    raise typer.Exit(EXIT_USAGE)
