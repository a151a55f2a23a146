"""What holds for every test against real processes."""

import pytest

OF_PROCESSES = ("stack", "browser", "cluster")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the whole system as processes depends on when the machine runs them: where it fails it is tried once
    more, and the report says RERUN with the reason. Whatever decides by a seed is never tried again."""
    for item in items:
        if any(item.get_closest_marker(name) for name in OF_PROCESSES):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=5))
