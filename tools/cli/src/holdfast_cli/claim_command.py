"""`holdfast claim`: a person takes over what the broker holds and the ledger does not know (invariant 14)."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from holdfast_cli.command_line import StateOption, console
from holdfast_cli.strategy_commands import AdminOption, NoteOption, admin_meant


def command(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Of which the broker holds something else.")],
    note: NoteOption,
    strategy: Annotated[str, typer.Option(help="Who shall own it. Default: who owns it already.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be booked.")] = False,
    admin: AdminOption = "",
    state_dir: StateOption = None,
) -> None:
    """Take over what the broker holds of a symbol and the ledger does not know: its halts end with the next clean
    comparison, and what is held gets its stop.

    Exit codes: 0 booked, 1 refused as things stand or no answer, 2 wrong usage.
    """
    body = {"symbol": symbol.upper(), "strategy": strategy, "note": note, "dry_run": dry_run}
    with admin_meant(admin, state_dir) as api:
        tell(api.post("claims", body), console)


def tell(claim: dict[str, Any], out: Console) -> None:
    """Both sides, and what was booked."""
    lines = (
        f"{claim['symbol']}: ledger {claim['ledger_quantity']}, broker {claim['broker_quantity']}",
        f"{claim['quantity']} at {claim['price']} for {claim['strategy']}, {claim['cash']} dollars",
        f"booked as {claim['adjustment_id']}" if claim["adjustment_id"] else "nothing was booked",
    )
    for line in lines:
        out.print(Text(line), soft_wrap=True)
