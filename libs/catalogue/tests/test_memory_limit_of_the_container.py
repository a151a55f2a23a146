"""Memory is measured against the limit that the container has, whichever version of control groups sets it (FP-6.5)."""

from pathlib import Path

import pytest

from holdfast_catalogue.machine import MEMORY_LIMIT_BYTES, usage

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("file", "text", "limit"),
    [
        ("memory.max", f"{256 * MIB}\n", 256 * MIB),
        ("memory.max", "max\n", MEMORY_LIMIT_BYTES),
        ("memory/memory.limit_in_bytes", f"{384 * MIB}\n", 384 * MIB),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", MEMORY_LIMIT_BYTES),
        ("unrelated", "1\n", MEMORY_LIMIT_BYTES),
    ],
)
def test_the_containers_limit_counts_where_it_is_the_lower_one(
    tmp_path: Path, file: str, text: str, limit: int
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert usage(tmp_path).memory_limit_bytes == limit
