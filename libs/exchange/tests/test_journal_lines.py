"""A journal line reads back as the command that was written, and lines of earlier versions still read (TS-3)."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_exchange.commands import Advance, Cancel, Command, JournalUnreadable, Replace, Submit, decode, encode
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.orders import NewOrder, OrderType, Replacement, Side, TimeInForce

amounts = st.decimals("0.000000001", "100000000", allow_nan=False, places=9)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
kinds = sorted(get_args(Command), key=lambda kind: kind.__name__)
actions = st.builds(
    CorporateAction,
    kind=st.just(ActionKind.FORWARD_SPLIT),
    symbol=st.text(min_size=1),
    new_rate=st.integers(2, 20).map(Decimal),
    old_rate=st.just(Decimal(1)),
    cash=st.just(Decimal(0)),
)
for made, strategy in ((Decimal, amounts), (datetime, instants), (CorporateAction, actions)):
    st.register_type_strategy(made, strategy)


@pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__)
def test_every_kind_of_command_reads_back(kind: type[Command]) -> None:
    @settings(max_examples=15, deadline=None, print_blob=True)
    @given(st.from_type(kind))
    def reads_back(command: Command) -> None:
        assert decode(encode(command)) == command
        assert "\n" not in encode(command)

    reads_back()


def test_lines_of_the_first_version_read() -> None:
    at = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
    lines = {
        '{"at":"2013-10-07T13:30:00+00:00","op":"advance","number":3,"data":true}': Advance(3, at, True),
        '{"at":"2013-10-07T13:30:00+00:00","op":"cancel","order_id":"x"}': Cancel(at, "x"),
        '{"at":"2013-10-07T13:30:00+00:00","op":"submit","order":{"symbol":"SPY","side":"buy","quantity":"10",'
        '"type":"limit","time_in_force":"day","client_order_id":"hf-1","limit_price":"170",'
        '"protect_stop_price":"150"}}': Submit(
            at,
            NewOrder(
                symbol="SPY",
                side=Side.BUY,
                quantity=Decimal(10),
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.DAY,
                client_order_id="hf-1",
                limit_price=Decimal(170),
                protect_stop_price=Decimal(150),
            ),
        ),
        '{"at":"2013-10-07T13:30:00+00:00","op":"replace","order_id":"x","change":{"time_in_force":"gtc",'
        '"client_order_id":"hf-r1"}}': Replace(
            at, "x", Replacement(time_in_force=TimeInForce.GTC, client_order_id="hf-r1")
        ),
    }
    assert {line: decode(line) for line in lines} == lines


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"op":"dance","at":"2013-10-07T13:30:00+00:00"}',
        '{"op":"cancel","at":"yesterday","order_id":"x"}',
        '{"op":"cancel","at":"2013-10-07T13:30:00+00:00"}',
        '{"op":"cancel","at":"2013-10-07T13:30:00+00:00","order_id":7}',
        '{"op":"cancel","at":"2013-10-07T13:30:00+00:00","order_id":"x","more":1}',
        '{"op":"submit","at":"2013-10-07T13:30:00+00:00","order":{"symbol":"SPY","side":"hold"}}',
    ],
)
def test_what_no_version_has_written_is_refused(line: str) -> None:
    with pytest.raises(JournalUnreadable):
        decode(line)
