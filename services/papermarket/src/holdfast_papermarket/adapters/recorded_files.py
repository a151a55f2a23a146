"""What a recording's files are, in one short text."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ENDINGS = frozenset({".parquet", ".csv", ".toml"})
"""Of the files that a recording is made of (docs/recordings.md)."""


def digest_of(folders: Iterable[Path]) -> str:
    """The same for the same files, wherever they lie; another one where a name or a byte differs (TS-3).

    Raises OSError where a file cannot be read.
    """
    found = hashlib.sha256()
    for folder in folders:
        for path in sorted(each for each in folder.iterdir() if each.suffix in ENDINGS and each.is_file()):
            with path.open("rb") as file:
                found.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
        found.update(b"\0")
    return found.hexdigest()
