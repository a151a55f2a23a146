"""The five services and the venue's clock as they are called.

A service implements its port, and a caller holds the same port: over gRPC between processes, direct in the simulation.
Who calls, and until when, is in `holdfast_runtime.calls.current()`.
Errors: Refused (a coded no), Retry (unavailable, or the deadline passed), both raised on either side alike.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from holdfast.doctor.v1 import doctor_pb2 as doctor
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.failurepoint.v1 import failurepoint_pb2 as failurepoint
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.papermarket.v1 import market_clock_pb2 as market_clock
from holdfast.reconciliation.v1 import reconciliation_pb2 as reconciliation
from holdfast.scoring.v1 import scoring_pb2 as scoring
from holdfast.signal.v1 import signal_pb2 as signal


class PricesCalls(Protocol):
    """PricesService of signal."""

    def watch(self, request: signal.WatchRequest) -> AsyncIterator[signal.WatchResponse]: ...


class ScoringCalls(Protocol):
    """ScoringService."""

    async def explain(self, request: scoring.ExplainRequest) -> scoring.ExplainResponse: ...


class GateCalls(Protocol):
    """GateService."""

    async def evaluate(self, request: gate.EvaluateRequest) -> gate.EvaluateResponse: ...

    async def list_gates(self, request: gate.ListGatesRequest) -> gate.ListGatesResponse: ...


class ExecutionCalls(Protocol):
    """ExecutionService."""

    async def submit(self, request: execution.SubmitRequest) -> execution.SubmitResponse: ...

    def watch_snapshot(
        self, request: execution.WatchSnapshotRequest
    ) -> AsyncIterator[execution.WatchSnapshotResponse]: ...

    async def get_ledger(self, request: execution.GetLedgerRequest) -> execution.GetLedgerResponse: ...

    async def get_decisions(self, request: execution.GetDecisionsRequest) -> execution.GetDecisionsResponse: ...

    async def refresh(self, request: execution.RefreshRequest) -> execution.RefreshResponse: ...

    async def record_verdict(self, request: execution.RecordVerdictRequest) -> execution.RecordVerdictResponse: ...

    async def clear_halt(self, request: execution.ClearHaltRequest) -> execution.ClearHaltResponse: ...

    async def claim_position(self, request: execution.ClaimPositionRequest) -> execution.ClaimPositionResponse: ...

    async def get_holder(self, request: execution.GetHolderRequest) -> execution.GetHolderResponse: ...

    async def list_strategies(self, request: execution.ListStrategiesRequest) -> execution.ListStrategiesResponse: ...

    async def stop_strategy(self, request: execution.StopStrategyRequest) -> execution.StopStrategyResponse: ...

    async def start_strategy(self, request: execution.StartStrategyRequest) -> execution.StartStrategyResponse: ...


class ReconciliationCalls(Protocol):
    """ReconciliationService."""

    async def reconcile(self, request: reconciliation.ReconcileRequest) -> reconciliation.ReconcileResponse: ...


class FailurePointCalls(Protocol):
    """FailurePointService of admin: every point of every service as it stands."""

    async def list_failure_points(
        self, request: failurepoint.ListFailurePointsRequest
    ) -> failurepoint.ListFailurePointsResponse: ...


class DoctorCalls(Protocol):
    """DoctorService of admin: every process's own look at its edges (IN-8)."""

    async def examine(self, request: doctor.ExamineRequest) -> doctor.ExamineResponse: ...

    async def list_examinations(self, request: doctor.ListExaminationsRequest) -> doctor.ListExaminationsResponse: ...


class MarketClockCalls(Protocol):
    """MarketClockService of papermarket."""

    def follow(
        self, requests: AsyncIterator[market_clock.FollowRequest]
    ) -> AsyncIterator[market_clock.FollowResponse]: ...
