"""Scoring's edges."""

from holdfast_catalogue.doctor.checks import Check
from holdfast_catalogue.doctor.of_shell import call
from holdfast_runtime.service import Shell


def checks(shell: Shell) -> list[Check]:
    """Whom scoring calls: the gate, and execution for what is decided already."""
    return [call(shell, "gate"), call(shell, "execution")]
