"""The terminal's own look at a running stack: gRPC as the operator, and papermarket's JSON."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from holdfast_cli.plan import OPERATOR, VENUE_SERVICE
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.config import load_settings
from holdfast_runtime.identity import load_identity
from holdfast_runtime.ports.calls import (
    DoctorCalls,
    ExecutionCalls,
    FailurePointCalls,
    PricesCalls,
    ReconciliationCalls,
)
from holdfast_runtime.rpc.client import Remotes
from holdfast_runtime.settings import Settings

HTTP_TIMEOUT_SECS = 5.0
CONFIG_VARIABLE, CERTIFICATES_VARIABLE = "HOLDFAST_CONFIG", "HOLDFAST_CERTIFICATES"


@dataclass(frozen=True, slots=True)
class StackFiles:
    """Where a stack's configuration and the operator's certificate lie: in the folder of a run, or mounted in a pod."""

    config: Path
    certificates: Path


def files_of_run(folder: Path) -> StackFiles:
    """Those of `holdfast up`."""
    return StackFiles(folder / "holdfast.yaml", folder / "certificates")


def mounted_files(environ: Mapping[str, str]) -> StackFiles | None:
    """Those that HOLDFAST_CONFIG and HOLDFAST_CERTIFICATES name, as in a pod; None unless both are given."""
    config, certificates = environ.get(CONFIG_VARIABLE), environ.get(CERTIFICATES_VARIABLE)
    return StackFiles(Path(config), Path(certificates)) if config and certificates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackCalls:
    """Callers of one running stack."""

    settings: Settings
    execution: ExecutionCalls
    prices: PricesCalls
    reconciliation: ReconciliationCalls
    failure_points: FailurePointCalls
    doctor: DoctorCalls
    http: httpx.AsyncClient

    @property
    def on_papermarket(self) -> bool:
        return f"{VENUE_SERVICE}.http" in self.settings.endpoints

    async def venue(self, page: str) -> dict[str, Any]:
        """papermarket's own JSON: `status` or `books`. Raises httpx.HTTPError while it is away."""
        base = f"http://{self.settings.endpoints[f'{VENUE_SERVICE}.http']}"
        answer = await self.http.get(f"{base}/papermarket/v1/{page}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def stack_calls(files: StackFiles) -> AsyncIterator[StackCalls]:
    """Callers of a stack. Raises InvalidConfiguration, IdentityUnavailable."""
    settings = load_settings(files.config, {}, None)
    clock = SystemMonotonicClock()
    remotes = Remotes(identity=load_identity(files.certificates, OPERATOR), clock=clock)
    endpoints = settings.endpoints
    async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_SECS, trust_env=False) as http:
        try:
            yield StackCalls(
                settings=settings,
                execution=remotes.remote(ExecutionCalls, "execution", endpoints["execution"]),
                prices=remotes.remote(PricesCalls, "signal", endpoints["signal"]),
                reconciliation=remotes.remote(ReconciliationCalls, "reconciliation", endpoints["reconciliation"]),
                failure_points=remotes.remote(FailurePointCalls, "admin", endpoints["admin"]),
                doctor=remotes.remote(DoctorCalls, "admin", endpoints["admin"]),
                http=http,
            )
        finally:
            await remotes.close()
