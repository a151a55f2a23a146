"""What a NetworkPolicy's spec says, whoever wrote it down (IN-7, SE-7). Pure."""

from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]
SERVERS_OWN: Object = {"protocol": "TCP", "matchLabels": {}, "apiVersion": "v1", "divisor": "0"}
"""What the API server puts in, or leaves out, of a policy's ports and selectors and of a variable's source."""


NAMED = 2
"""Workloads that are named one by one."""


def unlike(wanted: Object, found: Object) -> list[str]:
    """The keys whose values do not say the same; what the API server adds or leaves out says nothing."""
    one, other = _said(wanted), _said(found)
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def _said(value: Any) -> Any:
    # An empty list is as good as none; an empty object is not: `{}` is everybody.
    if isinstance(value, Mapping):
        said = {key: _said(each) for key, each in value.items()}
        return {key: each for key, each in said.items() if each not in (None, [], SERVERS_OWN.get(key))}
    return [_said(each) for each in value] if isinstance(value, list) else value


def opened(spec: Object, labels: Mapping[str, Object]) -> str:
    """What a policy of somebody else opens: "ingress of deployments/holdfast-gate"; empty: nothing. `labels`: the
    pods', by their workload. Policies only add to each other: one without rules opens nothing."""
    ways = [way for way in ("ingress", "egress") if spec.get(way) and way.title() in spec.get("policyTypes", ())]
    reached = sorted(name for name, own in labels.items() if _selects(spec.get("podSelector") or {}, own))
    more = f" and {len(reached) - NAMED} more" if len(reached) > NAMED else ""
    return f"{' and '.join(ways)} of {', '.join(reached[:NAMED])}{more}" if ways and reached else ""


def _selects(selector: Object, labels: Object) -> bool:
    wanted = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _meets(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _meets(requirement: Object, labels: Object) -> bool:
    key, values = requirement["key"], requirement.get("values") or ()
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[requirement["operator"]]
