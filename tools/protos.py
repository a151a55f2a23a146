"""Generates libs/contracts from protos/: `make protos` writes, `make protos-check` compares."""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "libs/contracts/src"


def generate(target: Path) -> None:
    """Writes the message classes and their stubs. Services are bound by descriptor, so no gRPC stubs are made."""
    plugin = Path(sysconfig.get_path("scripts")) / "protoc-gen-mypy"
    files = sorted(str(path) for path in (ROOT / "protos").rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", f"--python_out={target}"]
    subprocess.run(
        [*command, f"--mypy_out=quiet:{target}", f"--plugin=protoc-gen-mypy={plugin}", *files], check=True, cwd=ROOT
    )


def tree(folder: Path) -> dict[str, str]:
    """Relative path to content of every generated file."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted((folder / "holdfast").rglob("*.py*"))
        if "__pycache__" not in path.parts
    }


def main() -> int:
    """0 where the generated code is current (after writing it, unless `--check`)."""
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        generate(fresh)
        if "--check" in sys.argv:
            stale = {k for k in tree(fresh).keys() | tree(OUTPUT).keys() if tree(fresh).get(k) != tree(OUTPUT).get(k)}
            if stale:
                print("generated code is stale; run `make protos`:", *sorted(stale), sep="\n  ", file=sys.stderr)
            return 1 if stale else 0
        shutil.rmtree(OUTPUT / "holdfast", ignore_errors=True)
        shutil.copytree(fresh / "holdfast", OUTPUT / "holdfast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
