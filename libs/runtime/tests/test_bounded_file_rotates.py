"""A log or trace file cannot fill the disk, and spoils at most one line in a crash."""

import threading
from pathlib import Path

import pytest

from holdfast_runtime.rotation import BoundedFile


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_two_files_hold_at_most_twice_the_bound(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "deep" / "a.jsonl", max_bytes=100)
    for number in range(1_000):
        file.write(f"line {number:04}".encode())
    assert file.path.stat().st_size <= 100
    assert file.older.stat().st_size <= 100
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["a.jsonl", "a.jsonl.1"]
    assert lines(file.path)[-1] == b"line 0999"
    kept = lines(file.older) + lines(file.path)
    assert kept == [f"line {number:04}".encode() for number in range(1_000 - len(kept), 1_000)]


def test_a_restarted_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first = BoundedFile(path, max_bytes=20)
    first.write(b"0123456789")
    first.close()
    second = BoundedFile(path, max_bytes=20)
    second.write(b"abcdefghij")
    assert (lines(second.older), lines(path)) == ([b"0123456789"], [b"abcdefghij"])


def test_a_line_torn_by_a_crash_spoils_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"whole":1}\n{"to')
    BoundedFile(path, max_bytes=1_000).write(b'{"next":2}')
    assert lines(path) == [b'{"whole":1}', b'{"to', b'{"next":2}']


def test_a_line_that_can_never_fit_is_refused_and_the_file_stays_usable(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "a.jsonl", max_bytes=10)
    with pytest.raises(ValueError, match="11 bytes does not fit into 10"):
        file.write(b"0123456789")
    file.write(b"012345678")
    assert lines(file.path) == [b"012345678"]


def test_a_disk_that_recovers_is_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("a file stands where the folder should be")
    file = BoundedFile(folder / "a.jsonl", max_bytes=100)
    with pytest.raises(FileExistsError):
        file.write(b"lost")
    folder.unlink()
    file.write(b"kept")
    assert lines(file.path) == [b"kept"]


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "a.jsonl", max_bytes=1_000_000)
    threads = [
        threading.Thread(target=lambda word=word: [file.write(word * 50) for _ in range(200)])
        for word in (b"a", b"b", b"c", b"d")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines(file.path)
    assert len(found) == 800
    assert all(len(line) == 50 and len(set(line)) == 1 for line in found)


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "a.jsonl", max_bytes=100)
    file.write(b"x")
    assert file.path.stat().st_mode & 0o077 == 0
