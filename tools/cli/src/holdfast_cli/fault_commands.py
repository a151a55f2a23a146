"""`holdfast faults`: which faults there are, and whether a plan of them is understood.

The faults are imported where they are looked at: every other command would wait for them.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

EXIT_REFUSED = 2

app = typer.Typer(help="Faults of papermarket on demand.", no_args_is_help=True)
console = Console()
errors = Console(stderr=True)


@app.command("list")
def list_kinds() -> None:
    """Print every kind of fault with its parameters."""
    from holdfast_exchange.faults import docs

    console.print(Text(docs.plain_table()), soft_wrap=True)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A plan: TOML (.toml) or YAML.")]) -> None:
    """Check a plan and say what is wrong with it.

    Exit codes: 0 understood, 2 refused.
    """
    from holdfast_exchange.faults import plan

    try:
        found = plan.load(file)
    except plan.PlanRefused as error:
        errors.print(Text(f"holdfast: the fault plan is refused\n{error}"), soft_wrap=True)
        raise typer.Exit(EXIT_REFUSED) from None
    for fault in found.faults:
        console.print(Text(f"{fault.id}: {fault.kind}"), soft_wrap=True)
    console.print(Text(f"{file}: {len(found.faults)} faults, seed {found.seed}"), soft_wrap=True)
