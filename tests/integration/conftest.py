"""One undisturbed day in lock-step, shared by the tests that compare with it."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack import running

DAY = ("--from", "2013-10-08", "--to", "2013-10-08")
LOCKSTEP = ("--until-end", "--speed", "max")


@pytest.fixture(scope="session")
def undisturbed_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The report of one recorded day, and the folder of its run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with running(folder, *LOCKSTEP, *DAY) as stack:
        return stack.report(), stack.folder.resolve()
