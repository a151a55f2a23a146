"""A sweep as an indexed Job of the current cluster: made, watched, gathered and deleted, all by kubectl."""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast_cli.kube_job import INDEX, SWEEP, Target, job
from holdfast_cli.kubectl import Kubectl
from holdfast_runtime.errors import GiveUp, Retry

if TYPE_CHECKING:
    from holdfast_simulation.shares import Work

LOOK_EVERY_SECS = 1.0
PATIENCE_SECS = 60.0
"""How long the cluster may give no answer, or make no pod."""
PARTS_A_POD = 4
"""So many parts for each pod at once: one that is slow keeps nobody waiting, and the bar moves."""
MOST_LINES_A_PART = 1_000
"""Fewer than a node keeps of a pod's log."""
LONGEST_WORD = 100_000
"""Bytes: the longest argument of a process is 131,072."""
WORDS_TOLD = 5
NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
CANNOT_START = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

Told = TypeVar("Told")
Object = Mapping[str, Any]
Note = Callable[[str], None]


class SweepFailed(GiveUp):
    """The cluster did not do it; the message says why, and what to do where that is known."""


def parts_of(size: int, target: Target) -> int:
    """Into how many parts so many seeds or runs are cut."""
    return min(size, max(PARTS_A_POD * target.pods, -(-size // MOST_LINES_A_PART)))


def run(work: "Work", target: Target, read: Callable[[str], Told], note: Note) -> Generator[Told, None, None]:
    """What `read` makes of every seed or run, as the parts end. `note` is told what keeps it waiting.

    The Job is deleted in any case. Raises SweepFailed, and AskPerson where there is no kubectl.
    """
    word = work.packed()
    if len(word) > LONGEST_WORD:
        raise SweepFailed(f"these settings are too much for one Job ({len(word)} bytes packed): ask for fewer runs")
    sweep = _Sweep(f"holdfast-sweep-{secrets.token_hex(4)}", work, target, note)
    try:
        sweep.begin(word)
        for line in sweep.gather():
            try:
                told = read(line)
            except (ValueError, KeyError, TypeError) as error:
                raise SweepFailed(f"{target.image} is of another version: {error!r} in {line[:200]}") from error
            yield told
    finally:
        sweep.delete()


class _Sweep:
    def __init__(self, name: str, work: "Work", target: Target, note: Note) -> None:
        self._name = name
        self._work = work
        self._target = target
        self._note = note
        self._noted: set[str] = set()
        self._kubectl = Kubectl(target.namespace)
        self._missing = set(range(work.parts))
        self._answered_secs = self._began_secs = time.monotonic()

    def begin(self, word: str) -> None:
        manifest = job(self._name, word=word, parts=self._work.parts, target=self._target)
        try:
            self._kubectl("create", "--filename", "-", given=json.dumps(manifest))
        except Retry as error:
            raise SweepFailed(f"the cluster does not take the Job: {error}") from error

    def gather(self) -> Iterator[str]:
        while self._missing:
            try:
                own, pods = self._look()
                for pod in pods:
                    yield from self._lines_of(pod)
            except Retry as error:
                if time.monotonic() - self._answered_secs > PATIENCE_SECS:
                    raise SweepFailed(f"the cluster gives no answer any more: {error}") from error
            else:
                self._answered_secs = time.monotonic()
                self._refuse_broken(own, pods)
            if self._missing:
                time.sleep(LOOK_EVERY_SECS)

    def delete(self) -> None:
        """It goes by itself later where this is not heard."""
        with contextlib.suppress(Retry):
            self._kubectl("delete", "job", self._name, "--ignore-not-found", "--wait=false")

    def _look(self) -> tuple[Object, list[Object]]:
        """The Job, and its pods as they are a moment later. Raises Retry and SweepFailed."""
        # One after the other: the pods of a Job that is told as complete are there, and have ended.
        own = self._listed("jobs")
        if not own:
            raise SweepFailed(f"somebody has deleted the Job {self._name}")
        return own[0], self._listed("pods")

    def _listed(self, kind: str) -> list[Object]:
        told = self._kubectl("get", kind, "--selector", f"{SWEEP}={self._name}", "--output", "json")
        items: list[Object] = json.loads(told)["items"]
        return items

    def _lines_of(self, pod: Object) -> list[str]:
        """What a pod has told that is at its end; nothing where its part is known. Raises Retry and SweepFailed."""
        index = _index(pod)
        if pod["status"].get("phase") != "Succeeded" or index not in self._missing:
            return []
        said = self._kubectl("logs", pod["metadata"]["name"]).splitlines()
        lines = [each for each in said if each.startswith("{")]
        if len(lines) != self._work.size_of(index):
            raise SweepFailed(f"part {index} told {len(lines)} of {self._work.size_of(index)} results: {said[-1:]}")
        self._missing.discard(index)
        return lines

    def _refuse_broken(self, own: Object, pods: list[Object]) -> None:
        """Raises SweepFailed where what is missing will never come."""
        if failed := own["status"].get("failedIndexes"):
            raise SweepFailed(f"parts that failed, and failed again: {failed}; {self._last_words(pods)}")
        for condition in own["status"].get("conditions", ()):
            if condition["status"] == "True" and condition["type"] in ("Failed", "FailureTarget"):
                raise SweepFailed(f"the Job failed: {condition.get('reason')}: {condition.get('message')}")
            if condition["status"] == "True" and condition["type"] == "Complete" and self._missing:
                raise SweepFailed(f"the pods of {len(self._missing)} parts were gone before anybody read their results")
        for pod in pods:
            self._refuse_stuck(pod)
        if not pods and time.monotonic() - self._began_secs > PATIENCE_SECS:
            raise SweepFailed(f"the cluster makes no pod: {self._last_event()}")

    def _refuse_stuck(self, pod: Object) -> None:
        for container in pod["status"].get("containerStatuses", ()):
            waiting = container["state"].get("waiting", {})
            why = f"{waiting.get('reason')}: {waiting.get('message', '')}"
            if waiting.get("reason") in NO_IMAGE:
                what_to_do = "`make images` builds it; load it into the cluster, or push it and name it with --image"
                raise SweepFailed(f"the cluster cannot get the image {self._target.image}: {what_to_do}\n{why}")
            if waiting.get("reason") in CANNOT_START:
                raise SweepFailed(f"the pod {pod['metadata']['name']} cannot start: {why}")
        for condition in pod["status"].get("conditions", ()):
            if condition.get("reason") == "Unschedulable":
                self._tell_once(f"waiting for a node: {condition.get('message', '')}")

    def _tell_once(self, what: str) -> None:
        if what not in self._noted:
            self._noted.add(what)
            self._note(what)

    def _last_words(self, pods: list[Object]) -> str:
        """Of the first pod that failed."""
        pod = next((each for each in pods if each["status"].get("phase") == "Failed"), None)
        if pod is None:
            return "no pod of theirs is left"
        name = pod["metadata"]["name"]
        ended = [each["state"].get("terminated", {}) for each in pod["status"].get("containerStatuses", ())]
        why = ", ".join(f"{each.get('reason')}, exit code {each.get('exitCode')}" for each in ended)
        with contextlib.suppress(Retry):
            why += "\n" + self._kubectl("logs", name, f"--tail={WORDS_TOLD}").strip()
        return f"{name}: {pod['status'].get('reason') or why}"

    def _last_event(self) -> str:
        with contextlib.suppress(Retry):
            about = f"involvedObject.name={self._name}"
            events = json.loads(self._kubectl("get", "events", "--field-selector", about, "--output", "json"))["items"]
            if events:
                return str(events[-1].get("message"))
        return "and no event says why"


def _index(pod: Object) -> int:
    return int(pod["metadata"]["annotations"][INDEX])
