"""Which gRPC service stands behind which port, and how its methods are named on either side."""

import re
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from holdfast.doctor.v1 import doctor_pb2
from holdfast.execution.v1 import execution_pb2
from holdfast.failurepoint.v1 import failurepoint_pb2
from holdfast.gate.v1 import gate_pb2
from holdfast.papermarket.v1 import market_clock_pb2
from holdfast.reconciliation.v1 import reconciliation_pb2
from holdfast.scoring.v1 import scoring_pb2
from holdfast.signal.v1 import signal_pb2
from holdfast_runtime.ports import calls

SERVICES: dict[type, ServiceDescriptor] = {
    calls.PricesCalls: signal_pb2.DESCRIPTOR.services_by_name["PricesService"],
    calls.ScoringCalls: scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
    calls.GateCalls: gate_pb2.DESCRIPTOR.services_by_name["GateService"],
    calls.ExecutionCalls: execution_pb2.DESCRIPTOR.services_by_name["ExecutionService"],
    calls.ReconciliationCalls: reconciliation_pb2.DESCRIPTOR.services_by_name["ReconciliationService"],
    calls.FailurePointCalls: failurepoint_pb2.DESCRIPTOR.services_by_name["FailurePointService"],
    calls.DoctorCalls: doctor_pb2.DESCRIPTOR.services_by_name["DoctorService"],
    calls.MarketClockCalls: market_clock_pb2.DESCRIPTOR.services_by_name["MarketClockService"],
}

PLACES_ORDERS = frozenset({"/holdfast.execution.v1.ExecutionService/Submit"})
"""Methods that are never retried by the channel."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its path on the wire, its name in the port, its messages."""

    path: str
    name: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool


def methods(port: type) -> tuple[Method, ...]:
    """The methods of a port. Raises KeyError where no service stands behind it."""
    service = SERVICES[port]
    return tuple(_method(service, method) for method in service.methods)


def _method(service: ServiceDescriptor, method: MethodDescriptor) -> Method:
    return Method(
        path=f"/{service.full_name}/{method.name}",
        name=re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower(),
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
    )
