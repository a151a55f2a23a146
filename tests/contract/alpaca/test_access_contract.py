"""Keys, limits, paths and methods (RL, TS-3)."""

import pytest

from tests.contract.alpaca.account import PaperAccount

TRADING = ("/v2/account", "/v2/orders", "/v2/clock", "/v2/assets/SPY")
DATA = ("/v2/stocks/bars/latest?symbols=SPY", "/v1beta3/crypto/us/latest/bars?symbols=BTC/USD")


@pytest.mark.parametrize("path", TRADING)
@pytest.mark.parametrize("secret", ["", "a-guess"])
async def test_wrong_keys_are_refused_without_a_code(account: PaperAccount, path: str, secret: str) -> None:
    wrong = {"APCA-API-KEY-ID": account.key, "APCA-API-SECRET-KEY": secret} if secret else {}
    answer = await account.raw("GET", path, headers=wrong)
    assert (answer.status_code, answer.json()) == (401, {"message": "unauthorized."})


async def test_wrong_keys_are_refused_by_market_data(account: PaperAccount) -> None:
    wrong = {"APCA-API-KEY-ID": account.key, "APCA-API-SECRET-KEY": "a-guess"}
    answer = await account.raw("GET", DATA[0], headers=wrong)
    assert answer.status_code in (401, 403)
    assert answer.json()["message"]


@pytest.mark.parametrize("path", [TRADING[0], DATA[0]])
async def test_an_answer_tells_how_many_requests_are_left(account: PaperAccount, path: str) -> None:
    """Trap 11."""
    answer = await account.raw("GET", path)
    limit = int(answer.headers["X-RateLimit-Limit"])
    assert 0 <= int(answer.headers["X-RateLimit-Remaining"]) <= limit
    assert int(answer.headers["X-RateLimit-Reset"]) > 1_600_000_000


async def test_paths_and_methods_that_do_not_exist(account: PaperAccount) -> None:
    assert (await account.raw("GET", "/v2/nothing")).status_code == 404
    assert (await account.raw("PUT", "/v2/account")).status_code in (404, 405)
