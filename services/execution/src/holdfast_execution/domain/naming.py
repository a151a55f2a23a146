"""Names of the engine's intents: functions of the signal and the purpose, never of an attempt or of chance.

`<signal>/entry`, `<signal>/exit`, `<signal>/stop`, then `/stop-2` … where a first one cannot be used any more.
"""

from holdfast_core.ids import AccountId, ClientOrderId, SignalId, StrategyId, client_order_id
from holdfast_execution.domain.intents import Purpose


def intent_name(signal_id: str, purpose: Purpose, number: int = 1) -> str:
    """Id of the `number`-th intent of `purpose` that a signal led to."""
    if number < 1:
        raise ValueError(f"number {number}: counted from 1")
    suffix = purpose.value if number == 1 else f"{purpose.value}-{number}"
    return f"{signal_id}/{suffix}"


def order_name(account: str, strategy: str, signal_id: str, intent_id: str, leg: int) -> ClientOrderId:
    """Client order id of one leg of an intent."""
    role = intent_id.rpartition("/")[2]
    return client_order_id(AccountId(account), StrategyId(strategy), SignalId(signal_id), role, leg)


def replacement_name(client_id: str, number: int) -> str:
    """Client order id of the `number`-th replacement of an order: `<id>-rN`."""
    stem, mark, tail = client_id.rpartition("-r")
    return f"{stem if mark and tail.isdigit() else client_id}-r{number}"
