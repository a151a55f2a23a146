"""Reading a cycle from its message: everything that would make it undecidable is refused here, by name."""

from google.protobuf.message import DecodeError

from holdfast.common.v1 import common_pb2 as common
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_runtime.errors import Malformed
from holdfast_runtime.wire import from_decimal, from_timestamp, require

MAX_SIGNALS = 256
MAX_PRICE = 1_000_000_000
"""In dollars: the ledger keeps no larger one."""
SUBJECT_PREFIX = "cycles.v1."


def read_cycle(subject: str, payload: bytes) -> pb.Cycle:
    """The cycle in a message. Raises Malformed with what is wrong."""
    try:
        cycle = pb.Cycle.FromString(payload)
    except DecodeError as error:
        raise Malformed(f"no cycle: {error}") from error
    require(
        "Cycle",
        (
            ("cycle_id", cycle.cycle_id),
            ("strategy", cycle.strategy),
            ("book", cycle.book),
            ("market_time", cycle.HasField("market_time")),
            ("valid_until", cycle.HasField("valid_until")),
            ("signals", cycle.signals),
        ),
    )
    if subject != SUBJECT_PREFIX + cycle.strategy:
        raise Malformed(f"Cycle.strategy {cycle.strategy!r} came on subject {subject!r}")
    if cycle.book not in common.Book.values():
        raise Malformed(f"Cycle.book {cycle.book} is not known")
    if len(cycle.signals) > MAX_SIGNALS:
        raise Malformed(f"Cycle.signals: {len(cycle.signals)}, at most {MAX_SIGNALS}")
    _check_times(cycle)
    for signal in cycle.signals:
        _check_signal(signal)
    if len({signal.signal_id for signal in cycle.signals}) < len(cycle.signals):
        raise Malformed(f"Cycle {cycle.cycle_id}: a signal id comes twice")
    return cycle


def _check_times(cycle: pb.Cycle) -> None:
    try:
        market_time, valid_until = from_timestamp(cycle.market_time), from_timestamp(cycle.valid_until)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"Cycle {cycle.cycle_id}: {error}") from error
    if valid_until <= market_time:
        raise Malformed(f"Cycle.valid_until {valid_until} is not after its market_time {market_time}")


def _check_signal(signal: pb.Signal) -> None:
    require(
        "Signal",
        (
            ("signal_id", signal.signal_id),
            ("symbol", signal.symbol),
            ("direction", signal.direction),
            ("reference_price", signal.HasField("reference_price")),
            ("target_weight", signal.HasField("target_weight")),
        ),
    )
    if signal.direction not in common.Direction.values():
        raise Malformed(f"Signal.direction {signal.direction} is not known")
    price = from_decimal(signal.reference_price, field="Signal.reference_price")
    weight = from_decimal(signal.target_weight, field="Signal.target_weight")
    if not 0 < price <= MAX_PRICE:
        raise Malformed(f"Signal.reference_price {price} is outside 0 to {MAX_PRICE}")
    # Not a number fails here too.
    if not 0 <= signal.strength <= 1:
        raise Malformed(f"Signal.strength {signal.strength} is outside 0 to 1")
    if not 0 <= weight <= 1:
        raise Malformed(f"Signal.target_weight {weight} is outside 0 to 1")
    if signal.HasField("stop_fraction"):
        stop = from_decimal(signal.stop_fraction, field="Signal.stop_fraction")
        if not 0 < stop < 1:
            raise Malformed(f"Signal.stop_fraction {stop} is outside 0 to 1")
