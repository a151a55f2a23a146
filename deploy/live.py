"""Process 1 of a development image: the service, started again whenever Tilt has synced sources and touched a file.

A service that ended by itself is waited for until the next sync: a container that ended would lose what was synced.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = Path("/src/.restart")
LOOK_EVERY_SECS = 0.2
STOP_SECS = 10.0


def ended(service: subprocess.Popen[bytes]) -> int:
    """Its exit code, after a SIGTERM and the time that it has for it."""
    service.terminate()
    try:
        return service.wait(STOP_SECS)
    except subprocess.TimeoutExpired:
        service.kill()
        return service.wait()


def main() -> None:
    """Until this process is told to end."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopping.append(received))
    while not stopping:
        MARK.touch()
        seen = MARK.stat().st_mtime_ns
        service = subprocess.Popen(["/opt/holdfast/bin/start", *sys.argv[1:]])
        while not stopping and MARK.stat().st_mtime_ns == seen:
            service.poll()
            time.sleep(LOOK_EVERY_SECS)
        ended(service)


if __name__ == "__main__":
    main()
