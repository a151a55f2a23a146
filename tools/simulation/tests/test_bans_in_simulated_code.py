"""What runs in the simulated world reads no wall clock, draws no chance of its own and starts no thread (TS-2)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SIMULATED = "services/gate/src/holdfast_gate/service.py"


def banned(code: str, place: str) -> bool:
    """Does ruff, by the repository's own settings, refuse this code in that file?"""
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", place, "-"],
        input=code,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert found.returncode in (0, 1), found.stderr
    return "TID251" in found.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import time\n",
        "from time import monotonic\n",
        "from datetime import UTC, datetime\n\nnow = datetime.now(UTC)\n",
        "from uuid import uuid4\n",
        "import uuid\n\nname = uuid.uuid4()\n",
        "import random\n\nchosen = random.choice([1, 2])\n",
        "from random import shuffle\n",
        "import secrets\n",
        "import threading\n",
        "from concurrent.futures import ThreadPoolExecutor\n",
        "import asyncio\n\nasyncio.to_thread(print)\n",
    ],
)
def test_simulated_code_may_not(code: str) -> None:
    assert banned(code, SIMULATED)
    assert not banned(code, "services/admin/src/holdfast_admin/service.py")


@pytest.mark.parametrize(
    "code",
    ["import random\n\nchance = random.Random(1)\n", "from datetime import time\n", "from uuid import UUID, uuid5\n"],
)
def test_simulated_code_may(code: str) -> None:
    assert not banned(code, SIMULATED)


@pytest.mark.parametrize(
    "place",
    [
        "libs/core/src/holdfast_core/ids.py",
        "libs/exchange/src/holdfast_exchange/matching.py",
        "services/execution/src/holdfast_execution/sender.py",
        "services/execution/src/holdfast_execution/domain/intents.py",
        "services/reconciliation/src/holdfast_reconciliation/service.py",
        "services/scoring/src/holdfast_scoring/service.py",
        "services/signal/src/holdfast_signal/service.py",
        "tools/simulation/src/holdfast_simulation/world/run.py",
    ],
)
def test_the_bans_reach_all_that_is_simulated(place: str) -> None:
    assert banned("import time\n", place)
