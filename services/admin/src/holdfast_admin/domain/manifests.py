"""What parts of manifests say, whoever wrote them down (IN-7). Pure."""

from collections.abc import Mapping
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
}
"""What the API server puts in, or leaves out, of policies, of pods and their volumes and probes."""


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
