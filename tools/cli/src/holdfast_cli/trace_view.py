"""`holdfast trace`: the way of one signal or order through the services, as a tree with times."""

from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from holdfast_runtime.telemetry.trace_file import Node, RecordedSpan, TraceFiles

PREFIX = "holdfast."
SHOWN_ATTRIBUTES = 8


class TraceNotFound(Exception):
    """Nothing that was recorded carries that id."""


def show(state_dir: Path, subject: str, console: Console) -> None:
    """Prints every trace that carries `subject`. Raises TraceNotFound."""
    files = TraceFiles(state_dir)
    roots = files.trees(subject)
    if not roots:
        raise TraceNotFound(
            f"{subject!r}: no trace carries it. Ids are those of the dashboard: a signal id, a client order id, "
            f"a broker order id or a trace id. Looked in {state_dir / 'traces'}"
        )
    for root in roots:
        began_ns = root.span.start_ns
        tree = Tree(
            Text.assemble(("trace ", "dim"), root.span.trace_id, ("  ", ""), f"{root.span.started_at:%H:%M:%S.%f}")
        )
        _grow(tree, root, began_ns)
        console.print(tree)
    if files.unreadable_lines:
        console.print(f"{files.unreadable_lines} unreadable lines were passed over", style="yellow")


def _grow(tree: Tree, node: Node, began_ns: int) -> None:
    branch = tree.add(_line(node.span, began_ns))
    for child in node.children:
        _grow(branch, child, began_ns)


def _line(span: RecordedSpan, began_ns: int) -> Text:
    own = [(key.removeprefix(PREFIX), value) for key, value in span.attributes.items() if key.startswith(PREFIX)]
    facts = "  ".join(f"{key}={value}" for key, value in own[:SHOWN_ATTRIBUTES])
    return Text.assemble(
        (f"{span.service} ", "cyan"),
        (span.name, "bold"),
        (f"  +{(span.start_ns - began_ns) / 1e6:.2f} ms  {span.duration_ms:.2f} ms  ", "green"),
        (facts, "dim"),
        (f"  {span.error}" if span.error else "", "red"),
    )
