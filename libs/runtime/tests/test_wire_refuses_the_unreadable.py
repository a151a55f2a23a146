"""The boundary between domain values and protobuf: what can never be read is Malformed, and nothing else (PR-1)."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from holdfast.common.v1 import common_pb2 as common
from holdfast_runtime.errors import Malformed
from holdfast_runtime.wire import from_decimal, from_timestamp, require, to_timestamp


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_instant_is_read_or_malformed(seconds: int, nanos: int) -> None:
    with contextlib.suppress(Malformed):
        assert from_timestamp(Timestamp(seconds=seconds, nanos=nanos)).tzinfo is UTC


@given(st.text(max_size=80))
def test_any_amount_is_read_or_malformed(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert from_decimal(common.Decimal(value=text), field="Order.price").is_finite()


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(Malformed, match=r"Order\.price: '1e999999'"):
        from_decimal(common.Decimal(value="1e999999"), field="Order.price")
    with pytest.raises(Malformed, match=str(2**62)):
        from_timestamp(Timestamp(seconds=2**62))


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_comes_back_as_it_went(instant: datetime) -> None:
    stamp = to_timestamp(instant)
    assert stamp is not None
    assert from_timestamp(stamp) - instant == timedelta(0)


def test_a_naive_instant_is_not_sent() -> None:
    with pytest.raises(ValueError, match="naive"):
        to_timestamp(datetime(2013, 10, 7))  # noqa: DTZ001  # the fault under test


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Malformed, match=r"Cycle\.strategy is missing"):
        require("Cycle", (("cycle_id", "c"), ("strategy", "")))
