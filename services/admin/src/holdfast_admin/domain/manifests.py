"""What parts of manifests say, whoever wrote them down (IN-7). Pure."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Object = Mapping[str, Any]
SERVERS_OWN: Object = {
    "protocol": "TCP",
    "matchLabels": {},
    "apiVersion": "v1",
    "divisor": "0",
    "securityContext": {},
    "shareProcessNamespace": False,
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "readOnly": False,
    "defaultMode": 0o644,
    "expirationSeconds": 3600,
    "scheme": "HTTP",
    "service": "",
    "initialDelaySeconds": 0,
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
    "type": "ClusterIP",
    "publishNotReadyAddresses": False,
}
"""What the API server puts in, or leaves out, of policies, Services, of pods and their volumes and probes."""
AMOUNTS = ("requests", "limits")
"""Whatever is in them is a quantity: the API server writes 1000m as 1."""
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(|[KMGTPE]i|[numkMGTPE])")
_POWERS = {each: Decimal(1024) ** power for power, each in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))}
_POWERS |= {each: Decimal(1000) ** (power - 3) for power, each in enumerate("num kMGTPE") if each != " "}


def unlike(wanted: Object, found: Object) -> list[str]:
    """The keys whose values do not say the same; what the API server adds or leaves out says nothing."""
    one, other = _said(wanted), _said(found)
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def _said(value: Any) -> Any:
    # An empty list is as good as none; an empty object is not: `{}` is everybody.
    if isinstance(value, Mapping):
        said = {key: _amounts(each) if key in AMOUNTS else _said(each) for key, each in value.items()}
        return {key: each for key, each in said.items() if each not in (None, [], SERVERS_OWN.get(key))}
    return [_said(each) for each in value] if isinstance(value, list) else value


def _amounts(value: Any) -> Any:
    return {key: _amount(str(each)) for key, each in value.items()} if isinstance(value, Mapping) else value


def _amount(quantity: str) -> Decimal | str:
    """Its number; what is none stays what it is."""
    found = _QUANTITY.fullmatch(quantity)
    return Decimal(found[1]) * _POWERS[found[2]] if found else quantity
