"""Messages that no service can use, for every subject of the bus, and what the reason of each must name."""

from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.signal.v1 import signal_pb2 as signal

NOISE = b"\xff\x00\xfe no message \x80"
EARLIER = 1_380_000_000
"""Two weeks before the recording: what is valid then has long expired in it."""


@dataclass(frozen=True, slots=True)
class Bad:
    """One malformed message."""

    subject: str
    payload: bytes
    names: str
    """What its reason names; "" where no service consumes the subject."""
    consumer: str = ""


def a_signal(**changes: object) -> signal.Signal:
    """One that would be tradable, but for `changes`."""
    fields: dict[str, object] = {
        "signal_id": "intruder.SPY",
        "symbol": "SPY",
        "direction": common.DIRECTION_ENTER_LONG,
        "strength": 1.0,
        "target_weight": common.Decimal(value="1"),
        "reference_price": common.Decimal(value="165"),
        "stop_fraction": common.Decimal(value="0.02"),
    }
    return signal.Signal(**{key: value for key, value in (fields | changes).items() if value is not None})  # type: ignore[arg-type]  # by name


def a_cycle(**changes: object) -> signal.Cycle:
    """One that would be decided, but for `changes`. It expired before the recording began."""
    fields: dict[str, object] = {
        "cycle_id": "intruder",
        "strategy": "sma",
        "book": common.BOOK_EQUITY,
        "market_time": Timestamp(seconds=EARLIER),
        "valid_until": Timestamp(seconds=EARLIER + 60),
        "signals": [a_signal()],
    }
    return signal.Cycle(**{key: value for key, value in (fields | changes).items() if value is not None})  # type: ignore[arg-type]  # by name


def _cycles() -> list[Bad]:
    def priced(text: str) -> signal.Cycle:
        return a_cycle(signals=[a_signal(reference_price=common.Decimal(value=text))])

    wrong: list[tuple[signal.Cycle, str]] = [
        (a_cycle(strategy=None), "Cycle.strategy"),
        (a_cycle(valid_until=None), "Cycle.valid_until"),
        (a_cycle(signals=[]), "Cycle.signals"),
        (a_cycle(valid_until=Timestamp(seconds=EARLIER - 1)), "valid_until"),
        (a_cycle(market_time=Timestamp(seconds=2**62)), str(2**62)),
        (a_cycle(signals=[a_signal(), a_signal()]), "twice"),
        (a_cycle(signals=[a_signal(signal_id=f"s{n}") for n in range(257)]), "257"),
        (a_cycle(signals=[a_signal(direction=0)]), "Signal.direction"),
        (a_cycle(signals=[a_signal(strength=float("nan"))]), "Signal.strength"),
        (a_cycle(signals=[a_signal(stop_fraction=common.Decimal(value="2"))]), "Signal.stop_fraction"),
        (priced("NaN"), "Signal.reference_price"),
        (priced("-1"), "Signal.reference_price"),
        (priced("1e999999"), "Signal.reference_price"),
        (priced("12,5"), "Signal.reference_price"),
    ]
    whole = a_cycle().SerializeToString()
    raw = [(b"", "Cycle.cycle_id"), (NOISE, "no cycle"), (whole[: len(whole) // 2], "")]
    payloads = [(cycle.SerializeToString(), names) for cycle, names in wrong] + raw
    found = [Bad("cycles.v1.sma", payload, names, "scoring") for payload, names in payloads]
    # Whole, but of another strategy than its subject says.
    return found + [Bad(f"cycles.v1.{other}", whole, "'sma'", "scoring") for other in ("rotation", "a.b.c")]


def _facts() -> list[Bad]:
    def fact(**changes: object) -> bytes:
        fields: dict[str, object] = {
            "event_id": 2**40,
            "kind": "position",
            "aggregate": "SPY",
            "aggregate_version": 1,
            "market_time": Timestamp(seconds=EARLIER),
        }
        return execution.Fact(**(fields | changes)).SerializeToString()  # type: ignore[arg-type]  # by name

    endless = execution.Position(symbol="SPY", quantity=common.Decimal(value="1e999999"))
    payloads = [
        (b"", "Fact.event_id"),
        (NOISE, "pars"),
        (fact(market_time=Timestamp(seconds=2**62)), str(2**62)),
        (fact(position=endless), "Position.quantity"),
        (fact(position=execution.Position()), "Position.symbol"),
    ]
    return [Bad("facts.v1.position", payload, names, "admin") for payload, names in payloads]


def _bars() -> list[Bad]:
    times = {"start": Timestamp(seconds=EARLIER), "end": Timestamp(seconds=EARLIER + 60)}
    bars = [
        (signal.Bar(), "Bar.symbol"),
        (signal.Bar(symbol="SPY", start=times["start"]), "Bar.end"),
        (signal.Bar(symbol="SPY", close=common.Decimal(value="NaN"), **times), "Bar.close"),
        (signal.Bar(symbol="SPY", start=times["start"], end=Timestamp(seconds=2**62)), str(2**62)),
    ]
    payloads = [(bar.SerializeToString(), names) for bar, names in bars] + [(NOISE, "pars")]
    return [Bad("market.v1.bar.SPY", payload, names, "admin") for payload, names in payloads]


CONSUMED = (*_cycles(), *_facts(), *_bars())
"""Each must be found among the dead letters, byte for byte, with its reason."""

UNCONSUMED = tuple(
    Bad(subject, payload, "")
    for subject in (
        "market.v1.quote.SPY",
        "market.v1.nothing",
        "deadletters.v1.nobody",
        "alerts.v1.nothing",
        "failurepoints.v1.nothing",
    )
    for payload in (b"", NOISE)
)
"""Stored, and used by nobody that could trip over it."""
