"""Writes the manifests that test_manifests_are_the_reviewed_ones compares with: `make chart`."""

import re

from tests.chart.rendering import CHART, ROOT, VALUES, rendered

FOLDER = ROOT / "tests" / "chart" / "golden"
INCLUDED = ("alerts.yaml", "nats-permissions.conf", "dashboards/*.json")
"""Files of others, which have tests of their own: their name stands where they were included."""
CHECKSUM = re.compile(r"\b[0-9a-f]{64}\b")


def reviewed(name: str) -> str:
    """The manifests with one of VALUES, as a person reviews them."""
    text = CHECKSUM.sub("<sha256>", rendered(name))
    for pattern in INCLUDED:
        for file in sorted((CHART / "files").glob(pattern)):
            for spaces in (" " * 2, " " * 4):
                body = "\n".join(spaces + line for line in file.read_text().rstrip("\n").split("\n"))
                text = text.replace(body, f"{spaces}<{file.relative_to(CHART)}>")
    return text


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in VALUES:
        (FOLDER / f"{name}.yaml").write_text(reviewed(name))


if __name__ == "__main__":
    main()
