"""The options of a command that may run past this machine."""

from enum import StrEnum
from typing import Annotated

import typer

from holdfast_cli.kube_job import IMAGE, PODS, Target

MOST_PODS = 1_000


class Where(StrEnum):
    """Where a sweep runs."""

    HERE = "here"
    KUBE = "kube"


OnOption = Annotated[Where, typer.Option("--on", help="kube: as an indexed Job of the current cluster.")]
PodsOption = Annotated[int, typer.Option(min=1, max=MOST_PODS, help="With --on kube: at most so many at once.")]
ImageOption = Annotated[str, typer.Option(help="With --on kube: what the pods run.")]
NamespaceOption = Annotated[str, typer.Option(help="With --on kube. Default: that of the kube context.")]


def target_of(on: Where, *, pods: int = PODS, image: str = IMAGE, namespace: str = "") -> Target | None:
    """None for this machine."""
    return Target(image=image, namespace=namespace, pods=pods) if on is Where.KUBE else None
