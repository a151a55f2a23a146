"""The Job of a sweep: an index for each part, pods as the restricted Pod Security standard asks, gone by itself."""

from dataclasses import dataclass
from typing import Any

IMAGE = "holdfast/simulation:dev"
"""As the chart's own default: `make images`, nothing said."""
PODS = 8
CONTAINER = "part"
USER = 10001
MOST_RETRIES = 1
"""Of a part whose pod was lost. What a seed or a run comes to is no failure of a pod."""
DEADLINE_SECS = 24 * 3600
KEPT_SECS = 600
"""After its end, where nobody is left who deletes it."""
RESOURCES = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
SIZE_OF_TMP = "256Mi"
SWEEP = "app.kubernetes.io/instance"
"""The label that names a sweep, on its Job and its pods."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""The annotation of a pod that says which part it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a sweep runs."""

    image: str = IMAGE
    namespace: str = ""
    """Empty: that of the kube context."""
    pods: int = PODS
    """At most so many at once."""


def job(name: str, *, word: str, parts: int, target: Target) -> dict[str, Any]:
    """The manifest. `word` is the packed work, which every part is told."""
    labels = {"app.kubernetes.io/name": "holdfast-sweep", SWEEP: name, "app.kubernetes.io/part-of": "holdfast"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": parts,
            "parallelism": min(parts, target.pods),
            "backoffLimitPerIndex": MOST_RETRIES,
            "activeDeadlineSeconds": DEADLINE_SECS,
            "ttlSecondsAfterFinished": KEPT_SECS,
            "template": {"metadata": {"labels": labels}, "spec": _pod(word, target.image)},
        },
    }


def _pod(word: str, image: str) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Nothing of an unfinished part is worth a farewell.
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", "holdfast_simulation"],
                "args": [word],
                "resources": RESOURCES,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": SIZE_OF_TMP}}],
    }
