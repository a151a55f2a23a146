"""`make contract-alpaca`: the suite of this folder against Alpaca's paper account.

It sends limit orders far from the market and cancels what it has sent. Exit code 2: not started, the reason is printed.
"""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from tests.contract.alpaca import hosts  # noqa: E402 - after the path


def main(arguments: list[str]) -> int:
    lacking = [name for name in (hosts.KEY, hosts.SECRET) if not os.environ.get(name)]
    if lacking:
        print(
            f"contract-alpaca: set {' and '.join(lacking)} to the keys of a paper account (never of a live one).",
            file=sys.stderr,
        )
        return 2
    os.environ[hosts.VENUE] = "alpaca"
    try:
        trading, data = hosts.trading_url(), hosts.data_url()
    except hosts.RefusedHost as error:
        print(f"contract-alpaca: {error}. This suite sends orders: to a paper account only.", file=sys.stderr)
        return 2
    print(f"contract-alpaca: {trading}, data from {data}")
    return int(pytest.main([str(HERE), "-q", "-rs", *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
