"""What every generator of files does at its end: writes what is not current, or with `--check` names it."""

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def write(wanted: Iterable[tuple[Path, str]], command: str) -> int:
    """The exit code: 1 where `--check` is asked for and a file is not what `command` would write."""
    stale = [(path, text) for path, text in wanted if not path.exists() or path.read_text() != text]
    for path, text in stale:
        shown = path.relative_to(ROOT)
        if "--check" in sys.argv:
            print(f"{shown} is not current: {command}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"{shown} written")
    return int(bool(stale) and "--check" in sys.argv)
