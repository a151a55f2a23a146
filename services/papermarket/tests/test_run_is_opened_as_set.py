"""The venue is what the settings say, and a run goes on only on the market it was begun with (TS-3, BR-2, FP-5.2)."""

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.replay import Replay, plan
from holdfast_papermarket.adapters.journal_file import JournalFile
from holdfast_papermarket.adapters.recorded_files import digest_of
from holdfast_papermarket.embedded import embedded
from holdfast_papermarket.opening import begun_with, exchange_config
from holdfast_runtime.config import InvalidConfiguration, load_settings
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.settings import ReplaySettings

FOLDER = default_folder_of("equity")
ASSETS = """replay:
  account: {margin_multiplier: 2, short_sales: true}
  assets:
    SPY: {easy_to_borrow: false, fractionable: false}
    IBM: {tradable: false}
"""


@pytest.fixture(scope="module")
def recorded() -> recordings.Recording:
    return recordings.load(FOLDER, symbols=("SPY", "IBM", "BAC"))


@pytest.fixture(scope="module")
def replay(recorded: recordings.Recording) -> Replay:
    return plan(recorded)


def settings_of(tmp_path: Path, text: str) -> ReplaySettings:
    path = tmp_path / "holdfast.yaml"
    path.write_text(text)
    return load_settings(path, {}, None).replay


async def test_assets_are_refused_as_the_settings_say(recorded: recordings.Recording, tmp_path: Path) -> None:
    """BR-2: hard to borrow, not fractionable, not tradable."""
    config = exchange_config(settings_of(tmp_path, ASSETS), recorded.symbols)
    assert config.assets == {"SPY": {"easy_to_borrow": False, "fractionable": False}, "IBM": {"tradable": False}}
    refused = []
    async with embedded(recorded, tmp_path / "state", start="2013-10-07", end="2013-10-07", config=config) as market:
        market.step_to(market.venue.replay.begin + 5 * recordings.MINUTE)
        keys = {"APCA-API-KEY-ID": market.keys.key, "APCA-API-SECRET-KEY": market.keys.secret}
        async with httpx.AsyncClient(base_url=market.url, headers=keys, timeout=30) as client:
            for symbol, side, quantity in (("SPY", "sell", "1"), ("SPY", "buy", "1.5"), ("IBM", "buy", "1")):
                asked = {"symbol": symbol, "side": side, "qty": quantity, "type": "market", "time_in_force": "day"}
                answer = await client.post("/v2/orders", json=asked)
                refused.append((answer.status_code, answer.json()["message"]))
            sold = await client.post("/v2/orders", json=asked | {"symbol": "BAC", "side": "sell"})
            asset = (await client.get("/v2/assets/SPY")).json()
    assert refused == [
        (422, "asset SPY cannot be sold short"),
        (403, "requested asset is not fractionable"),
        (422, "asset IBM is not tradable"),
    ]
    assert sold.status_code == 200, "others are as before"
    assert (asset["shortable"], asset["easy_to_borrow"], asset["fractionable"]) == (True, False, False)


def test_an_asset_may_be_set_by_the_environment() -> None:
    settings = load_settings(None, {"HOLDFAST__REPLAY__ASSETS__SPY__SHORTABLE": "false"}, None).replay
    assert exchange_config(settings, ("SPY",)).assets == {"SPY": {"shortable": False}}


def test_an_asset_that_is_not_recorded_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "replay: {assets: {SPX: {shortable: false}}}\n")
    with pytest.raises(AskPerson, match=r"replay\.assets\.SPX: not recorded; allowed: IBM, SPY"):
        exchange_config(settings, ("SPY", "IBM"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{SPY: {shortabel: false}}", "replay.assets.SPY.shortabel: unknown key"),
        ("{SPY: {shortable: 3}}", "replay.assets.SPY.shortable: 3 is not allowed; allowed: true or false"),
        ("{SPY: {min_order_size: 0}}", "replay.assets.SPY.min_order_size: 0 is not allowed; allowed: a decimal number"),
    ],
)
def test_an_asset_setting_that_does_not_exist_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        settings_of(tmp_path, f"replay:\n  assets: {text}\n")
    (found,) = caught.value.problems
    assert problem in found


CHANGES: list[dict[str, Any]] = [
    {"replay": {"seed": 2}},
    {"replay": {"starting_cash": Decimal(5)}},
    {"replay": {"assets": {"SPY": {"shortable": False}}}},
    {"replay": {"account": {"margin_multiplier": 2}}},
    {"books": ("crypto",)},
    {"recorded": "of another market"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "-".join(change.get("replay", change)))
def test_a_run_does_not_go_on_with_another_market(tmp_path: Path, replay: Replay, change: dict[str, Any]) -> None:
    """TS-3: the same journal on another market would be another account."""

    def begun(books: tuple[str, ...] = ("equity",), recorded: str = "of it", **changes: Any) -> dict[str, str]:
        settings = ReplaySettings.model_validate(changes.get("replay", {}))
        return begun_with("run", settings, replay, books=books, recorded=recorded)

    path = tmp_path / "journal"
    JournalFile(path, run=begun()).close()
    JournalFile(path, run=begun()).close()
    with pytest.raises(AskPerson, match="belongs to another run"):
        JournalFile(path, run=begun(**change))


def test_the_same_files_are_the_same_recording_wherever_they_lie(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "moved")
    (tmp_path / "moved" / "notes.txt").write_text("nothing of it is read")
    assert digest_of([tmp_path / "moved"]) == digest_of([FOLDER])
    with (tmp_path / "moved" / recordings.MANIFEST).open("a") as file:
        file.write("\n# changed\n")
    assert digest_of([tmp_path / "moved"]) != digest_of([FOLDER])
