"""What the tests of the runtime share."""

import pytest

from holdfast_runtime.rpc import client


@pytest.fixture
def patient_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things may take longer over a first handshake than a service would wait."""
    monkeypatch.setattr(client, "DEFAULT_DEADLINE_SECS", 60.0)
