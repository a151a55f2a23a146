"""kubectl against the current kube context: every call has a deadline."""

import subprocess
from dataclasses import dataclass

from holdfast_runtime.errors import AskPerson, Retry

CALL_SECS = 60.0


@dataclass(frozen=True, slots=True)
class Kubectl:
    """In one namespace; empty: that of the context."""

    namespace: str = ""

    def __call__(self, *words: str, given: str | None = None) -> str:
        """The standard output of a call; `given` is its standard input.

        Raises Retry with kubectl's last words where it fails, and AskPerson where there is none.
        """
        within = ["--namespace", self.namespace] if self.namespace else []
        command = ["kubectl", *within, *words]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=CALL_SECS, input=given, check=False
            )  # fmt: skip
        except FileNotFoundError:
            raise AskPerson("kubectl is not installed", steps=("install kubectl",)) from None
        except subprocess.TimeoutExpired:
            raise Retry(f"kubectl {words[0]} gave no answer within {CALL_SECS:.0f} s") from None
        if ended.returncode:
            said = ended.stderr.strip().splitlines()
            raise Retry(said[-1] if said else f"kubectl {words[0]} ended with exit code {ended.returncode}")
        return ended.stdout
