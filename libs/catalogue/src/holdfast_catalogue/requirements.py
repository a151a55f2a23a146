"""The requirement rows that failure points cover."""

from dataclasses import dataclass
from importlib import resources

import yaml

FILE = "requirements.yaml"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row: `doc` is the source document, `want` what the product must do."""

    id: str
    doc: str
    owner: str
    title: str
    want: str


def load() -> dict[str, Requirement]:
    """All rows by id, in their order. Raises ValueError where an id comes twice."""
    rows = [
        Requirement(**row) for row in yaml.safe_load(resources.files(__package__).joinpath(FILE).read_text("utf-8"))
    ]
    found = {row.id: row for row in rows}
    if len(found) != len(rows):
        raise ValueError(f"{FILE}: an id comes twice")
    return found
