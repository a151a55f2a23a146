"""What holds for every test against real processes."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OF_PROCESSES = ("stack", "browser", "cluster")
OF_SERVERS = (ROOT / "libs/runtime/tests", ROOT / "tests/contract")
"""Tests there talk with real servers over real sockets."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the whole system as processes, or against a real server, depends on when the machine runs them: where
    it fails it is tried once more, and the report says RERUN with the reason. Whatever decides by a seed is never
    tried again."""
    for item in items:
        if _depends_on_the_machine(item) and item.get_closest_marker("hypothesis") is None:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=5))


def _depends_on_the_machine(item: pytest.Item) -> bool:
    if any(item.get_closest_marker(name) for name in OF_PROCESSES):
        return True
    return any(item.path.is_relative_to(folder) for folder in OF_SERVERS)
