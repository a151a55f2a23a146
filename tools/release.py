"""Makes the artefacts of a release from images that are built: chart, bills of materials, digests, one signature.

`make release VERSION=1.2.0 KEY=…` calls it; docs/release.md says what each artefact is for and how to verify (SE-6).
"""

import argparse
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy/helm/holdfast"
LOCAL_UV = ROOT / ".uv/bin/uv"
NAMESPACE = "holdfast-release"
"""What a signature is for: one made with the same key for another purpose does not verify."""
SUMS = "SHA256SUMS"
LARGEST_IMAGE_BYTES = 250_000_000


def output(*command: str | Path) -> str:
    """What the program printed. The release ends where one fails; its words are on the terminal."""
    program = shutil.which(command[0])
    if program is None:
        sys.exit(f"release: {command[0]} is not installed")
    return subprocess.run([program, *command[1:]], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def bill_of_materials(service: str, image: str, version: str) -> dict[str, Any]:
    """CycloneDX: the service's packages with the hashes of the lock, and the system packages of its image."""
    uv = LOCAL_UV if LOCAL_UV.exists() else "uv"
    export = ("export", "--quiet", "--frozen", "--no-dev", "--package", f"holdfast-{service}")
    bill: dict[str, Any] = json.loads(output(uv, *export, "--format", "cyclonedx1.5"))
    bill["metadata"]["component"] = {"type": "container", "bom-ref": image, "name": image, "version": version}
    query = ("--entrypoint", "dpkg-query", image, "--show", "--showformat", "${Package} ${Version} ${Architecture}\n")
    for line in output("docker", "run", "--rm", *query).splitlines():
        name, release, architecture = line.split()
        url = f"pkg:deb/debian/{name}@{release}?arch={architecture}"
        bill["components"].append({"type": "library", "bom-ref": url, "name": name, "version": release, "purl": url})
    return bill


def facts_of(image: str) -> dict[str, Any]:
    """Its name, its id, its digest where it was pushed, and what it weighs on the wire."""
    found = json.loads(output("docker", "image", "inspect", image))[0]
    digests = [each.partition("@")[2] for each in found["RepoDigests"] if each.startswith(image.rpartition(":")[0])]
    size = 0
    with subprocess.Popen([shutil.which("docker") or "docker", "save", image], stdout=subprocess.PIPE) as saved:
        while saved.stdout and (block := saved.stdout.read(1 << 22)):
            size += len(gzip.compress(block, compresslevel=6))
    if size > LARGEST_IMAGE_BYTES:
        sys.exit(f"release: {image} has {size} compressed bytes, more than {LARGEST_IMAGE_BYTES}")
    return {"image": image, "id": found["Id"], "digest": next(iter(digests), None), "compressed_bytes": size}


def values_of(repository: str, version: str, images: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Values that pin the chart to these images: by digest where they were pushed, else by tag."""
    registry, _, path = repository.rpartition("/")
    digests = {service: facts["digest"] for service, facts in images.items() if facts["digest"]}
    return {"image": {"registry": registry, "repository": path, "tag": version, "digests": digests}}


def sign(folder: Path, key: Path) -> None:
    """The checksums of all artefacts, signed with an SSH key: a file, or one that the agent or a token holds."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(SUMS))
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (folder / SUMS).write_text("".join(lines))
    output("ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", key, folder / SUMS)


def main() -> None:
    """Writes the artefacts into an empty folder."""
    parser = argparse.ArgumentParser(description="Makes and signs the artefacts of a release.")
    parser.add_argument("--version", required=True)
    parser.add_argument("--repository", required=True, help="of the images, its registry before it")
    parser.add_argument("--services", nargs="*", default=[], help="those whose images are released")
    parser.add_argument("--key", type=Path, required=True, help="SSH key that signs")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    out = asked.out.resolve()
    out.mkdir(parents=True)

    images = {}
    for service in asked.services:
        image = f"{asked.repository}/{service}:{asked.version}"
        images[service] = facts_of(image)
        bill = bill_of_materials(service, image, asked.version)
        (out / f"{service}.cdx.json").write_text(json.dumps(bill, indent=1))
    commit = output("git", "rev-parse", "HEAD").strip()
    (out / "images.json").write_text(json.dumps({"commit": commit, "images": images}, indent=1))
    pinned = values_of(asked.repository, asked.version, images)
    (out / "values-images.yaml").write_text(yaml.safe_dump(pinned, sort_keys=False))
    output("helm", "package", CHART, "--version", asked.version, "--app-version", asked.version, "--destination", out)
    sign(out, asked.key.resolve())
    print(*(path.name for path in sorted(out.iterdir())), sep="\n")


if __name__ == "__main__":
    main()
