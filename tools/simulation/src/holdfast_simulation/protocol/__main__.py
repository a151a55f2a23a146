"""`python -m holdfast_simulation.protocol [MUTANT]`: every state of the protocol, or the way to a violated one.

MUTANT takes one of production's safeguards out first (`holdfast_simulation.mutants`).
"""

import sys

from holdfast_simulation.mutants import install, named


def main() -> None:
    """Exits with 1 where an invariant is violated."""
    for name in sys.argv[1:]:
        install(named(name))
    from holdfast_simulation.protocol.model import Protocol
    from holdfast_simulation.protocol.search import search

    found = search(Protocol())
    sys.stdout.write(f"{found.states} states, {found.steps} steps, {found.violation or 'all invariants hold'}\n")
    for number, step in enumerate(found.path, 1):
        sys.stdout.write(f"{number:4} {step}\n")
    sys.exit(1 if found.violation else 0)


if __name__ == "__main__":
    main()
