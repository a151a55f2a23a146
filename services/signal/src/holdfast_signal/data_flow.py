"""How much has come over the data connections: one for equities, one for pairs, and one flow of both (flows.py)."""

from holdfast_runtime import flows
from holdfast_runtime.ports.activity import Activity


class DataFlow:
    """Positions of all data connections as one: what the venue has sent on its present ones is their sum as well."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._positions: dict[str, int] = {}

    def received(self, connection: str, position: int) -> None:
        """`position` items have come on the present connection of that name."""
        self._positions[connection] = position
        self._activity.received(flows.DATA, sum(self._positions.values()))
