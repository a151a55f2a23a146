"""What a NetworkPolicy of somebody else opens (IN-7, SE-7). Pure."""

from collections.abc import Mapping

from holdfast_admin.domain.manifests import Object

NAMED = 2
"""Workloads that are named one by one."""


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
