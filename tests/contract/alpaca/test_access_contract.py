"""Keys, limits, paths and methods (RL, TS-3)."""

from tests.contract.alpaca.account import PaperAccount

TRADING = ("/v2/account", "/v2/orders", "/v2/clock", "/v2/assets/SPY")
DATA = ("/v2/stocks/bars/latest?symbols=SPY", "/v1beta3/crypto/us/latest/bars?symbols=BTC/USD")


async def test_wrong_keys_are_refused_without_a_code(account: PaperAccount) -> None:
    guessed = {"APCA-API-KEY-ID": account.key, "APCA-API-SECRET-KEY": "a-guess"}
    for path in TRADING:
        for wrong in ({}, guessed, guessed | {"APCA-API-KEY-ID": "a-guess", "APCA-API-SECRET-KEY": account.secret}):
            answer = await account.raw("GET", path, headers=wrong)
            assert (answer.status_code, answer.json()) == (401, {"message": "unauthorized."}), path


async def test_wrong_keys_are_refused_by_market_data(account: PaperAccount) -> None:
    wrong = {"APCA-API-KEY-ID": account.key, "APCA-API-SECRET-KEY": "a-guess"}
    answer = await account.raw("GET", DATA[0], headers=wrong)
    assert answer.status_code in (401, 403)
    assert answer.json()["message"]


async def test_an_answer_tells_how_many_requests_are_left(account: PaperAccount) -> None:
    """Trap 11."""
    for path in (TRADING[0], DATA[0]):
        answer = await account.raw("GET", path)
        limit = int(answer.headers["X-RateLimit-Limit"])
        assert 0 <= int(answer.headers["X-RateLimit-Remaining"]) <= limit
        assert int(answer.headers["X-RateLimit-Reset"]) > 1_600_000_000


async def test_paths_and_methods_that_do_not_exist(account: PaperAccount) -> None:
    assert (await account.raw("GET", "/v2/nothing")).status_code == 404
    assert (await account.raw("PUT", "/v2/account")).status_code in (404, 405)
