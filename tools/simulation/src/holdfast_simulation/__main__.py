"""`python -m holdfast_simulation WORD`: one part of a sweep that is spread over an indexed Job (`--on kube`).

The word is `shares.Work.packed()`, and JOB_COMPLETION_INDEX says which part. A line of JSON a seed or run, at once.
"""

import os
import sys

from holdfast_simulation import shares


def main() -> None:
    """Does the part. What a seed or a run comes to is no failure of the process."""
    work = shares.unpacked(sys.argv[1])
    for line in shares.lines(work, int(os.environ["JOB_COMPLETION_INDEX"])):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
