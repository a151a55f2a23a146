"""Tells a process to read its certificates again when they have changed: reload.py <folder> <name of the process>."""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

EVERY_SECS = 10.0


def content(folder):
    digest = hashlib.sha256()
    for file in sorted(folder.glob("[!.]*")):
        digest.update(file.read_bytes())
    return digest.digest()


def oldest(name):
    """The process that started first: PostgreSQL's others are its children."""
    found = [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/comm") if each.read_text().strip() == name]
    return min(found, default=None)


def main(folder, name):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    known = content(folder)
    while True:
        time.sleep(EVERY_SECS)
        try:
            now = content(folder)
            process = oldest(name)
        except OSError:
            continue
        if now != known and process is not None:
            os.kill(process, signal.SIGHUP)
            sys.stdout.write(f"{name} reads its certificate again\n")
            sys.stdout.flush()
            known = now


main(Path(sys.argv[1]), sys.argv[2])
