"""What a strategy is: one small class that looks at whole windows of bars and returns wishes.

The shell around it keeps windows, gaps, sessions, ids and time (`runners.py`), so that a strategy cannot get them
wrong: it is never shown a window with a missing bar (TL-1), and it is made anew for each session, so that nothing of
yesterday is left in it (TL-10). It does no I/O and reads no clock: the same bars always give the same wishes.

A strategy is found by its entry point in the group `holdfast.strategies`; docs/strategies.md shows one in 30 lines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast_core.schedules import Schedule
from holdfast_runtime.config import InvalidConfiguration
from holdfast_runtime.config_schema import allowed, guess, place
from holdfast_runtime.ports.venue import Bar, Timeframe
from holdfast_runtime.settings import StrategySettings

ENTRY_POINTS = "holdfast.strategies"
MAX_LOOKBACK = 2_000


class InvalidStrategy(InvalidConfiguration):
    """A strategy that is not installed, or whose parameters are refused. Names key, value and range: the service does
    not start (CF-3)."""


class StrategyParameters(BaseModel):
    """Base of a strategy's parameters: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wish(StrEnum):
    """What a strategy asks for."""

    ENTER_LONG = "ENTER_LONG"
    EXIT_LONG = "EXIT_LONG"
    REDUCE_LONG = "REDUCE_LONG"
    """Sell what is held beyond the target weight; of a strategy with `rebalance` only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desire:
    """One wish for one symbol."""

    symbol: str
    wish: Wish
    strength: float = 1.0
    """Conviction, 0 to 1."""
    target_weight: Decimal = Decimal(1)
    """Share of the strategy's allocation that the position should reach, 0 to 1. Without meaning for an exit."""
    features: Mapping[str, float] = field(default_factory=dict)
    """Numbers behind it, for people to read."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1 or not 0 <= self.target_weight <= 1:
            raise ValueError(f"{self.symbol}: strength {self.strength} and target weight {self.target_weight}: 0 to 1")


@dataclass(frozen=True, slots=True)
class Window:
    """The newest `lookback` bars of one symbol, oldest first, none missing between them."""

    symbol: str
    bars: tuple[Bar, ...]

    @property
    def closes(self) -> list[float]:
        """Closes as floats: for indicators, never for amounts."""
        return [float(bar.close) for bar in self.bars]

    @property
    def last(self) -> Bar:
        return self.bars[-1]


class Strategy:
    """Base of every strategy. One object lives for one session; what it keeps in itself begins empty at the open."""

    Parameters: ClassVar[type[StrategyParameters]] = StrategyParameters
    timeframe: ClassVar[Timeframe | None] = Timeframe.MINUTE
    """MINUTE: `on_bar` is called for each symbol as its bar ends. DAY: `on_session_open` once, at each open.
    None: `on_buy_time`, at each buy time of its schedule, and only then."""

    def __init__(self, symbols: tuple[str, ...], parameters: Any) -> None:
        self.symbols = symbols
        self.parameters = parameters

    @property
    def lookback(self) -> int:
        """How many bars a window must hold, 1 to 2,000. Minute windows reach back over one session at most."""
        return 1

    @property
    def data_symbols(self) -> tuple[str, ...]:
        """Symbols it must see: those it trades unless it says otherwise."""
        return self.symbols

    def on_bar(self, window: Window) -> Desire | None:
        """The newest bar of one symbol has ended, and its window is whole."""
        raise NotImplementedError

    def speaks_at(self, closes: Sequence[float], first: int) -> Iterable[int] | None:  # noqa: ARG002 - see below
        """For a backtest, which has a whole session before it: the places at which `on_bar` would say something.

        `closes`: of one symbol, in one session and the one before it, oldest first, none missing between them. `first`:
        the place of the session's first whole window; `on_bar` is asked about it and each one after it. More places
        cost time, a missing one is a wrong backtest. None, as here: it is asked bar by bar. Each object is asked once.
        """
        return None

    def on_session_open(self, windows: Mapping[str, Window]) -> Iterable[Desire]:
        """A session opens. `windows` ends with the previous session; a symbol with a missing bar is absent."""
        raise NotImplementedError

    @property
    def members(self) -> Mapping[str, "StrategyMaker"]:
        """Strategies on minute bars whose wishes it goes by at its buy times, by name."""
        return {}

    def on_member(self, name: str, desire: Desire) -> None:
        """A wish that member `name` had in this session, oldest first; all of them come before `on_buy_time`."""
        raise NotImplementedError

    def on_buy_time(self) -> Iterable[Desire]:
        """A buy time of its schedule has come."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyMaker:
    """A strategy with its parameters read and checked: makes the object of each session."""

    id: str
    kind: type[Strategy]
    book: str
    symbols: tuple[str, ...]
    stop_fraction: Decimal
    parameters: StrategyParameters
    schedule: Schedule | None = None

    def make(self) -> Strategy:
        """A fresh object: nothing of another session is in it (TL-10)."""
        return self.kind(self.symbols, self.parameters)


def makers_of(strategies: Sequence[StrategySettings]) -> list[StrategyMaker]:
    """Every enabled strategy, its class found and its parameters checked. Raises InvalidStrategy."""
    return [
        prepare(
            installed(each.kind),
            id=each.id,
            book=each.book,
            symbols=each.symbols,
            stop_fraction=each.stop_fraction,
            parameters=each.parameters,
            schedule=each.schedule.of(each.book) if each.schedule is not None else None,
        )
        for each in strategies
        if each.enabled
    ]


def installed(name: str) -> type[Strategy]:
    """The strategy class behind an entry-point name. Raises InvalidStrategy, naming those that are there."""
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        raise InvalidStrategy(f"strategy kind {name!r} is not installed; there are {', '.join(sorted(found))}")
    kind = found[name].load()
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        raise InvalidStrategy(f"strategy kind {name!r}: {found[name].value} is no holdfast_signal.strategy.Strategy")
    return kind


def prepare(
    kind: type[Strategy],
    *,
    id: str,  # noqa: A002 the field's own word
    book: str,
    symbols: tuple[str, ...],
    stop_fraction: Decimal,
    parameters: Mapping[str, object],
    schedule: Schedule | None = None,
) -> StrategyMaker:
    """Checks the parameters and that a first object can be made. Raises InvalidStrategy naming key, value and range."""
    buys_by_the_clock = schedule is not None and bool(schedule.buy_at)
    if buys_by_the_clock != (kind.timeframe is None):
        allowed = "none: it decides by bars when it buys" if buys_by_the_clock else "at least one time"
        raise InvalidStrategy(f"strategy {id}: schedule.buy_at of a {kind.__name__} strategy; allowed: {allowed}")
    try:
        read = kind.Parameters.model_validate(dict(parameters))
        maker = StrategyMaker(
            id=id, kind=kind, book=book, symbols=symbols, stop_fraction=stop_fraction, parameters=read,
            schedule=schedule,
        )  # fmt: skip
        lookback = maker.make().lookback
    except ValidationError as error:
        faults = "; ".join(
            _fault(kind.Parameters, each["type"], each["loc"], each["input"], each["msg"])
            for each in error.errors(include_url=False)
        )
        raise InvalidStrategy(f"strategy {id}: {faults}") from error
    except ValueError as error:
        raise InvalidStrategy(f"strategy {id}: {error}") from error
    if not 1 <= lookback <= MAX_LOOKBACK:
        raise InvalidStrategy(f"strategy {id}: lookback {lookback} is outside 1 to {MAX_LOOKBACK}")
    return maker


def _fault(
    model: type[StrategyParameters], problem: str, path: tuple[str | int, ...], given: object, message: str
) -> str:
    """One refused parameter in one line: its key, its value, what is allowed."""
    key = ".".join(("parameters", *map(str, path)))
    found = place(model, path)
    match problem:
        case "extra_forbidden":
            return f"{key}: unknown key{guess(model, path)}"
        case "value_error" | "assertion_error":
            return f"{key}: {message.removeprefix('Value error, ')}, given {given!r}"
        case "missing":
            return f"{key}: missing" + (f"; needed: {allowed(found)}" if found else "")
    if found is None:
        return f"{key}: {message}, given {given!r}"
    return f"{key}: {given!r} is not allowed; allowed: {allowed(found)}"
