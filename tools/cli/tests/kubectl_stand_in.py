"""A stand-in for kubectl on PATH: one Job at a time, whose parts are really run, by this interpreter, when asked for.

It is put into a folder of its own, where it writes down how it was called. `cluster` says how this cluster is broken.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
CLUSTER = (FOLDER / "cluster").read_text()
INDEX = "batch.kubernetes.io/job-completion-index"
IMAGE_MISSING = {"waiting": {"reason": "ErrImagePull", "message": "pull access denied"}}
NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes: Insufficient cpu",
}
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


def main() -> None:
    words = sys.argv[1:]
    given = sys.stdin.read() if "-" in words else None
    with (FOLDER / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    verb = next(each for each in words if each in ("create", "get", "logs", "delete"))
    if verb == "create":
        create(given or "")
    elif verb == "get":
        sys.stdout.write(json.dumps({"items": listed(words[words.index("get") + 1])}))
    elif verb == "logs":
        sys.stdout.write(logs(words[words.index("logs") + 1]))
    elif verb == "delete":
        (FOLDER / "job.json").unlink(missing_ok=True)


def create(given: str) -> None:
    if CLUSTER == "away":
        sys.exit("The connection to the server localhost:8080 was refused - did you specify the right host or port?")
    (FOLDER / "job.json").write_text(given)
    (FOLDER / "made.json").write_text(given)


def listed(kind: str) -> list[object]:
    job = json.loads((FOLDER / "job.json").read_text()) if (FOLDER / "job.json").exists() else None
    if kind == "jobs":
        return [] if job is None or CLUSTER == "deleted by somebody" else [{**job, "status": status(job)}]
    if kind == "events":
        return [{"message": "exceeded quota: compute"}]
    return (
        []
        if CLUSTER in ("out of time", "over its quota")
        else [pod(index) for index in range(job["spec"]["completions"])]
    )


def status(job: dict) -> dict:
    if CLUSTER == "short of memory":
        return {"failedIndexes": "1"}
    if CLUSTER == "out of time":
        return {
            "conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]
        }
    return {}


def pod(index: int) -> dict:
    return {"metadata": {"name": f"pod-{index}", "annotations": {INDEX: str(index)}}, "status": pod_status(index)}


def pod_status(index: int) -> dict:
    if CLUSTER == "without the image":
        return {"phase": "Pending", "containerStatuses": [{"state": IMAGE_MISSING}]}
    if CLUSTER == "full for a moment" and not (FOLDER / "full").exists():
        (FOLDER / "full").touch()
        return {"phase": "Pending", "conditions": [NO_NODE]}
    if CLUSTER == "short of memory" and index == 1:
        return {"phase": "Failed", "containerStatuses": [{"state": KILLED}]}
    return {"phase": "Succeeded"}


def logs(name: str) -> str:
    if CLUSTER == "short of memory" and name == "pod-1":
        return "the last words of a part\n"
    if CLUSTER == "forgetful":
        return "a warning of some library\n"
    (container,) = json.loads((FOLDER / "job.json").read_text())["spec"]["template"]["spec"]["containers"]
    told = subprocess.run(
        [sys.executable, *container["command"][1:], *container["args"]],
        env={**os.environ, "JOB_COMPLETION_INDEX": name.removeprefix("pod-")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if CLUSTER == "a world that violates":
        told = told.replace('"violations": []', '"violations": ["invariant 6: sold twice"]')
    if CLUSTER == "of another version":
        told = told.replace('"posts"', '"letters"')
    return "a warning of some library\n" + told


main()
