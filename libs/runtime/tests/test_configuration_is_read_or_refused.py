"""The configuration is understood exactly or refused with all its problems (CQ-4, FP-5.1, FP-5.2, CF-3)."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from holdfast_runtime import config_docs, config_schema
from holdfast_runtime.config import InvalidConfiguration, dump_settings, load_settings
from holdfast_runtime.settings import ReplaySettings, Settings, StrategySettings, VenueKind

DOCS = Path(__file__).parents[3] / "docs" / "configuration.md"

GOOD = """
state_dir: /var/lib/holdfast
venue: {kind: alpaca}
replay:
  start: 2013-10-07
  symbols: [ON, NO, SPY]
gate:
  max_positions: 4
  collar: 0.015
strategies:
  - id: crossover
    kind: sma_crossover
    symbols: [SPY]
    allocation: 12345.67
    parameters: {fast: 10, slow: 20, at: 09:30}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "holdfast.yaml"
    path.write_text(text)
    return path


def problems(path: Path | None, environ: dict[str, str] | None = None, overrides: Any = None) -> tuple[str, ...]:
    with pytest.raises(InvalidConfiguration) as caught:
        load_settings(path, environ or {}, overrides)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_nothing_given_gives_the_defaults() -> None:
    assert load_settings(None, {}, None) == Settings()


def test_a_file_is_read_with_days_symbols_and_money_as_they_are_written(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, GOOD), {"HOLDFAST_CONFIG": "ignored", "PATH": "x"})
    assert settings.state_dir == Path("/var/lib/holdfast")
    assert settings.venue.kind is VenueKind.ALPACA
    assert settings.replay.start == "2013-10-07"
    assert settings.replay.symbols == ("ON", "NO", "SPY")
    assert settings.gate.collar == Decimal("0.015")
    assert settings.strategies[0].allocation == Decimal("12345.67")
    assert settings.strategies[0].parameters == {"fast": 10, "slow": 20, "at": "09:30"}


def test_environment_goes_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    environ = {
        "HOLDFAST__GATE__MAX_POSITIONS": "5",
        "HOLDFAST__GATE__COLLAR": "0.03",
        "HOLDFAST__REPLAY__SYMBOLS": "IBM, BAC",
        "HOLDFAST__REPLAY__RECORDING": "",
        "HOLDFAST__STRATEGIES__0__ALLOCATION": "1",
        "HOLDFAST__ENDPOINTS__GATE__HEALTH": "127.0.0.1:7",
        "HOLDFAST__ACCOUNT__LIVE": "true",
    }
    settings = load_settings(written(tmp_path, GOOD), environ, {"gate": {"max_positions": 6}})
    assert settings.gate.max_positions == 6
    assert settings.gate.collar == Decimal("0.03")
    assert settings.replay.symbols == ("IBM", "BAC")
    assert settings.replay.recording is None
    assert settings.strategies[0].allocation == Decimal(1)
    assert settings.strategies[0].id == "crossover"
    assert settings.endpoints == {"gate.health": "127.0.0.1:7"}
    assert settings.account.live is True


def test_every_problem_is_told_at_once_with_key_value_range_and_place(tmp_path: Path) -> None:
    """FP-5.2, CF-3"""
    path = written(
        tmp_path,
        """gate:
  max_positons: 3
  max_positions: 20000
  collar: true
  cooldown_secs: abc
strategies:
  - id: Bad Id
    kind: sma
    symbols: []
  - kind: sma
    symbols: [SPY]
account: 5
""",
    )
    environ = {"HOLDFAST__ADMIN__PORT": "70000", "HOLDFAST__FOO__BAR": "1", "HOLDFAST__VENUE__KIND": "nyse"}
    found = problems(path, environ, {"telemetry": {"log_level": "LOUD"}})
    levels = "^(DEBUG|INFO|WARNING|ERROR)$"
    sections = "state_dir, account, venue, replay, books, strategies, feed, gate, execution"
    assert found[:2] == (
        f"account: 5 is not allowed; allowed: a section (file:{path}:12)",
        "admin.port: '70000' is not allowed; allowed: an integer from 0 to 65535 (environment HOLDFAST__ADMIN__PORT)",
    )
    assert found[2].startswith(f"foo: unknown key; known here: {sections}")
    assert found[2].endswith("(environment HOLDFAST__FOO__BAR)")
    assert found[3:] == (
        f"gate.collar: true is not allowed; allowed: a decimal number above 0 up to 1 (file:{path}:4)",
        f"gate.cooldown_secs: 'abc' is not allowed; allowed: a number from 0 to 86400 (file:{path}:5)",
        f"gate.max_positions: 20000 is not allowed; allowed: an integer from 1 to 10000 (file:{path}:3)",
        f"gate.max_positons: unknown key; did you mean gate.max_positions? (file:{path}:2)",
        f"strategies.0.id: 'Bad Id' is not allowed; allowed: text of the form ^[a-z0-9-]{{1,32}}$ (file:{path}:7)",
        f"strategies.0.symbols: [] is not allowed; allowed: a list of texts, at least 1 (file:{path}:9)",
        f"strategies.1.id: missing; needed: text of the form ^[a-z0-9-]{{1,32}}$ (file:{path}:10)",
        f"telemetry.log_level: 'LOUD' is not allowed; allowed: text of the form {levels} (command line)",
        "venue.kind: 'nyse' is not allowed; allowed: one of papermarket, alpaca (environment HOLDFAST__VENUE__KIND)",
    )


MANY_ALIASES = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 8))
"""A short text that stands for two million items."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gate:\n  a: [1\nb: 2\n", "line 3"),
        ("gate: {}\nreplay: {}\ngate: {}\n", "line 3: gate stands twice"),
        ("gate:\n\tmax_positions: 1\n", "line 2"),
        ("- a\n- b\n", "allowed: a table of sections"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("? [a]\n: b\n", "line 1: a key is a word"),
        (MANY_ALIASES, "too large"),
        ("a: &a [*a]\n", "too large or too deep"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    (problem,) = problems(path)
    assert problem.startswith(f"file:{path}: ")
    assert said in problem


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """FP-5.1"""
    assert problems(tmp_path / "absent.yaml") == (
        f"file:{tmp_path / 'absent.yaml'}: cannot be read: No such file or directory",
    )
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "is no UTF-8 text" in problems(tmp_path / "binary.yaml")[0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HOLDFAST__STRATEGIES__7__ID", "x", "strategies.7: "),
        ("HOLDFAST__STRATEGIES", "[{", "strategies: "),
        ("HOLDFAST__GATE__MAX_POSITIONS__DEEPER", "1", "gate.max_positions"),
        ("HOLDFAST__GATE__MAX_POSITIONS", "", "gate.max_positions: '' is not allowed"),
        ("HOLDFAST__GATE__COOLDOWN_SECS", "nan", "gate.cooldown_secs: 'nan' is not allowed"),
        ("HOLDFAST__GATE__COLLAR", "Infinity", "gate.collar: 'Infinity' is not allowed"),
        ("HOLDFAST__", "1", "unknown key"),
    ],
)
def test_an_environment_variable_that_fits_nowhere_is_refused(tmp_path: Path, name: str, value: str, said: str) -> None:
    (problem,) = problems(written(tmp_path, GOOD), {name: value})
    assert said in problem
    assert f"(environment {name})" in problem


def test_a_password_in_a_url_is_not_repeated_in_the_error() -> None:
    """SE-2"""
    (problem,) = problems(None, {"HOLDFAST__VENUE__KIND": "postgresql://u:hunter2@db"})
    assert "hunter2" not in problem


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@trials(deadline=None)
@given(
    parameters=st.dictionaries(texts, values, max_size=4),
    kind=texts
    | st.sampled_from(
        ["on", "1e3", "010", "2013-10-07", "09:30", "~", "null", "0x10", "1_000", ".5", "- a", "=", "<<"]
    ),
    cash=st.decimals(0, 10**9, places=2),
    symbols=st.lists(texts, max_size=3),
)
def test_what_is_dumped_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, parameters: dict[str, Any], kind: str, cash: Decimal, symbols: list[str]
) -> None:
    strategy = StrategySettings(id="a", kind=kind, symbols=("SPY",), parameters=parameters)
    replay = ReplaySettings(start="2013-10-07", starting_cash=cash, symbols=tuple(symbols), recording=Path("/a b"))
    settings = Settings(strategies=(strategy,), replay=replay, endpoints={"gate.health": "h:1"})
    path = tmp_path_factory.mktemp("dump") / "settings.yaml"
    path.write_text(dump_settings(settings))
    assert load_settings(path, {}) == settings


def test_the_documentation_is_what_the_models_say() -> None:
    assert DOCS.read_text() == config_docs.render(), (
        "run: python -m holdfast_runtime.config_docs > docs/configuration.md"
    )


def test_every_key_is_documented_with_what_it_allows() -> None:
    page = config_docs.render()
    for leaf in config_schema.leaves(Settings):
        assert f"| `{'.'.join(leaf.path)}` | " in page
    assert "typing." not in page
    assert "<class" not in page


def test_a_replay_that_cannot_be_is_refused_before_anything_starts() -> None:
    """CF-3: an unreadable instant, one without its zone, and an end before the start."""
    allowed = "allowed: a day (2013-10-07), or an instant with its time zone (2013-10-07T13:30:00Z) (command line)"
    assert problems(None, overrides={"replay": {"start": "someday", "end": "2013-10-07T13:30:00"}}) == (
        f"replay.end: '2013-10-07T13:30:00' is refused: {allowed}",
        f"replay.start: 'someday' is refused: {allowed}",
    )
    backwards = {"replay": {"start": "2013-10-09", "end": "2013-10-08"}}
    assert problems(None, overrides=backwards) == (
        "replay: is refused: the replay would end, 2013-10-08, before it starts, 2013-10-09 (command line)",
    )
    given = {"replay": {"start": "2013-10-07", "end": "2013-10-07T14:00:00Z"}}
    assert load_settings(None, {}, given).replay.end == "2013-10-07T14:00:00Z"


def test_two_strategies_of_one_id_are_refused(tmp_path: Path) -> None:
    """Every id of a signal and an order is made of it."""
    twice = "strategies:\n" + "  - {id: sma, kind: sma_crossover, symbols: [SPY]}\n" * 2
    (problem,) = problems(written(tmp_path, twice))
    assert "strategies: is refused: every strategy has an id of its own; given twice: sma" in problem
