"""Whatever a batch holds: its limits hold over the whole of it, and the order in which it came in changes nothing."""

from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SYMBOLS = [f"X{number:02d}" for number in range(30)]

quiet = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
signals = st.lists(
    st.tuples(
        st.sampled_from(SYMBOLS),
        st.one_of(st.floats(0, 5), st.just(float("nan"))),
        st.decimals("0", "1", places=3),
        st.decimals("90", "110", places=2),
        st.booleans(),
    ),
    max_size=40,
)
prices = st.dictionaries(st.sampled_from(SYMBOLS), st.decimals("0.05", "2000", places=2))
held = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 50), max_size=10)


def build(make_world, make_enter, make_exit, make_price, batch, priced, holdings, cash, limits):
    world = make_world(limits=limits)
    world.snapshot.account.cash.value = str(cash)
    for symbol, price in priced.items():
        world.prices[symbol] = make_price(symbol, str(price))
    for symbol, quantity in sorted(holdings.items()):
        world.hold(symbol, quantity, price=priced.get(symbol, 100))
    candidates = []
    for number, (symbol, score, weight, seen, exits) in enumerate(batch):
        make = make_exit if exits else make_enter
        share = seen / 100 * priced.get(symbol, Decimal(100))
        candidates.append(
            make(symbol, signal_id=f"s{number:03d}", score=score, target_weight=weight, signal_price=share)
        )
    return world, candidates


@quiet
@given(
    batch=signals,
    priced=prices,
    holdings=held,
    cash=st.integers(0, 60_000),
    max_positions=st.integers(1, 16),
    per_cycle=st.integers(1, 10),
    order_cap=st.integers(1, 12_000),
)
def test_no_batch_exceeds_a_limit(
    make_world, make_enter, make_exit, make_price, batch, priced, holdings, cash, max_positions, per_cycle, order_cap
):
    """FP-3.2, FP-3.3, BR-7, IG-2, invariant 16."""
    limits = {"max_positions": max_positions, "max_new_per_cycle": per_cycle, "max_order_notional": order_cap}
    world, candidates = build(make_world, make_enter, make_exit, make_price, batch, priced, holdings, cash, limits)
    before = world.context()
    decided = world.decide_all(*candidates)
    assert len(decided) == len(candidates)
    entries = [each.candidate for each in decided if each.allowed and each.candidate.limit_price is not None]
    assert len(entries) <= per_cycle
    assert len({each.symbol for each in entries}) == len(entries)
    assert not {each.symbol for each in entries} & set(holdings)
    if entries:
        assert len(holdings) + len(entries) <= max_positions
    spent = sum((each.cost for each in entries), Decimal(0))
    assert spent <= max(before.funds.cash, Decimal(0))
    if entries:
        assert before.funds.invested + spent <= Decimal("0.8") * before.funds.equity
    for order in entries:
        assert order.quantity == int(order.quantity) >= 1
        assert order.cost <= order_cap
        assert order.stop_price < order.basis.price < order.limit_price
        assert order.limit_price <= order.basis.price * Decimal("1.02")
    for each in decided:
        assert each.reason == "ALLOWED" if each.allowed else each.verdicts[-1].verdict.reason == each.reason


@quiet
@given(data=st.data(), batch=signals, priced=prices, holdings=held, cash=st.integers(0, 60_000))
def test_the_order_in_which_signals_arrive_changes_no_decision(
    make_world, make_enter, make_exit, make_price, data, batch, priced, holdings, cash
):
    """Order protocol, point 2: by score, then id."""
    world, candidates = build(make_world, make_enter, make_exit, make_price, batch, priced, holdings, cash, {})
    shuffled = data.draw(st.permutations(candidates))
    first = {each.candidate.signal_id: (each.reason, each.candidate.quantity) for each in world.decide_all(*candidates)}
    second = {each.candidate.signal_id: (each.reason, each.candidate.quantity) for each in world.decide_all(*shuffled)}
    assert first == second
