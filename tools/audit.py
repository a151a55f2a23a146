"""Looks for holes: dangerous calls in the code, secrets in the tree, known vulnerabilities in what the lock names.

`make audit` runs all three, `python tools/audit.py code secrets` those two (TS-6, SE-6). Exit 0: all clean;
1: something was found; 2: the advisories could not be read, so the dependencies are NOT checked, which is never clean.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
LOCAL_UV = ROOT / ".uv/bin/uv"

NOT_SCANNED = (":!uv.lock", ":!libs/contracts/src", ":!*/vendor/*", ":!*.csv", ":!*.parquet", ":!*.binpb")
Detector = dict[str, str | float]
KNOWN_FORMATS: list[Detector] = [
    {"name": "AlpacaKeyDetector", "path": (ROOT / "tools/alpaca_key_detector.py").as_uri()},
    {"name": "AWSKeyDetector"},
    {"name": "GitHubTokenDetector"},
    {"name": "JwtTokenDetector"},
    {"name": "PrivateKeyDetector"},
    {"name": "PypiTokenDetector"},
    {"name": "SlackDetector"},
]
GUESSES: list[Detector] = [{"name": "Base64HighEntropyString", "limit": 4.5}, {"name": "BasicAuthDetector"}]
"""Not for tests and documents: their passwords are invented."""
INVENTED = {"tests", "docs"}
FILTERS = [
    {"path": f"detect_secrets.filters.{name}"}
    for name in (
        "allowlist.is_line_allowlisted",
        "heuristic.is_indirect_reference",
        "heuristic.is_likely_id_string",
        "heuristic.is_not_alphanumeric_string",
        "heuristic.is_potential_uuid",
        "heuristic.is_sequential_string",
        "heuristic.is_templated_secret",
    )
]


class Verdict(IntEnum):
    """The exit code of one look, and the worst of them that of the run."""

    CLEAN = 0
    FOUND = 1
    NOT_CHECKED = 2


def code() -> Verdict:
    """Bandit over what is shipped and the tools that build it."""
    command = [str(SCRIPTS / "bandit"), "--quiet", "--recursive", "--configfile", "pyproject.toml"]
    done = subprocess.run([*command, "libs", "services", "tools", "deploy"], cwd=ROOT, check=False)
    return Verdict.FOUND if done.returncode else Verdict.CLEAN


def secrets() -> Verdict:
    """Every tracked file that a person writes. A line that only looks so says `pragma: allowlist secret`."""
    git = [shutil.which("git") or "git", "ls-files", "-z", *NOT_SCANNED]
    listed = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    present = SecretsCollection(root=str(ROOT))
    paths = [path for path in listed.split("\0") if path]
    for invented, detectors in ((True, KNOWN_FORMATS), (False, KNOWN_FORMATS + GUESSES)):
        with transient_settings({"plugins_used": detectors, "filters_used": FILTERS}):
            for path in paths:
                if bool(INVENTED & set(Path(path).parts)) is invented:
                    present.scan_file(path)
    for path, secret in present:
        print(f"{path}:{secret.line_number}: {secret.type}")
    if present:
        print("Take it out, and revoke it if it was pushed. If it is none: `# pragma: allowlist secret` on its line.")
        return Verdict.FOUND
    return Verdict.CLEAN


def dependencies() -> Verdict:
    """Every package of the lock, its hashes at hand, against the advisories of PyPI, else of OSV."""
    uv = str(LOCAL_UV) if LOCAL_UV.exists() else "uv"
    export = [uv, "export", "--frozen", "--quiet", "--all-packages", "--no-emit-workspace"]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(locked)
        requirements.flush()
        reasons = []
        for source in ("pypi", "osv"):
            answer, reason = _advisories(source, requirements.name)
            if answer is not Verdict.NOT_CHECKED:
                return answer
            reasons.append(f"{source}: {reason}")
    print("NOT CHECKED: the dependencies were held against no advisories.", *reasons, sep="\n  ")
    return Verdict.NOT_CHECKED


def _advisories(source: str, requirements: str) -> tuple[Verdict, str]:
    """The verdict of one source, and why it could give none. A package that it does not know is not checked."""
    command = [str(SCRIPTS / "pip-audit"), "--disable-pip", "--require-hashes", "--requirement", requirements]
    command += ["--vulnerability-service", source, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return Verdict.NOT_CHECKED, done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer"
    holes = [(package, hole) for package in packages for hole in package.get("vulns", ())]
    for package, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}")
    if holes:
        return Verdict.FOUND, ""
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        return Verdict.NOT_CHECKED, f"knows nothing of {len(unknown)} of {len(packages)} packages"
    return Verdict.CLEAN, ""


LOOKS: dict[str, Callable[[], Verdict]] = {"code": code, "secrets": secrets, "dependencies": dependencies}


def main() -> int:
    """Runs the looks that were asked for, all without a word."""
    chosen = [name for name in sys.argv[1:] if name in LOOKS] or list(LOOKS)
    verdicts = {name: LOOKS[name]() for name in chosen}
    print(*(f"audit {name}: {verdict.name.replace('_', ' ').lower()}" for name, verdict in verdicts.items()), sep="\n")
    return Verdict.FOUND if Verdict.FOUND in verdicts.values() else max(verdicts.values())


if __name__ == "__main__":
    sys.exit(main())
