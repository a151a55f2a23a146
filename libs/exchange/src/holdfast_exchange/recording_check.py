"""What is wrong with a recording, all of it, without replaying it (BS-8)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from holdfast_exchange import recording_files as files
from holdfast_exchange import recording_rules as rules
from holdfast_exchange.recording import load
from holdfast_exchange.recording_files import RecordingInvalid
from holdfast_exchange.recording_rules import FileReport, Quarantined


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A recording as it was found."""

    files: tuple[FileReport, ...]
    quarantined: tuple[Quarantined, ...]
    refused: tuple[str, ...]
    """Why files, or the recording, cannot be used at all: a sentence each."""
    unread: tuple[str, ...]
    """Parquet files whose name no prefix claims: no fault, but nothing of them is replayed."""
    steps: dict[str, tuple[str, ...]]
    """Symbol → the bars that would drive a replay of it, finest first; empty where nothing can be replayed."""

    @property
    def sound(self) -> bool:
        """True where nothing is refused or quarantined. Gaps are data, not faults."""
        return not self.refused and not self.quarantined


def paths_of(folder: Path) -> list[Path]:
    """The files that `inspect` reads."""
    return [path for kind in files.KINDS for path in files.files_of(folder, kind)]


def inspect(
    folder: Path, *, now: datetime | None = None, told: Callable[[str], None] = lambda _file: None
) -> Inspection:
    """Reads every file of `folder` and judges every row. `told` hears of each file that was read. Never raises."""
    reports: list[FileReport] = []
    quarantined: list[Quarantined] = []
    refused: list[str] = []
    for kind in files.KINDS:
        paths = files.files_of(folder, kind)
        frame = rules.read(kind, paths, now=now, refused=refused, told=told)
        # A refusal begins with the name of its file.
        unusable = {sentence.partition(":")[0] for sentence in refused}
        reports += rules.reports(frame, kind, [path for path in paths if path.name not in unusable])
        quarantined += rules.quarantined(frame)
    steps: dict[str, tuple[str, ...]] = {}
    if not refused:
        try:
            found = load(folder, now=now)
        except RecordingInvalid as error:
            refused.append(str(error))
        else:
            steps = found.steps
            # Tables beside the rows are judged by those who use them.
            quarantined = list(found.quarantined)
    return Inspection(
        files=tuple(reports),
        quarantined=tuple(quarantined),
        refused=tuple(refused),
        unread=tuple(files.unknown_files(folder)),
        steps=steps,
    )
