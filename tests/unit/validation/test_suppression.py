"""Which groups are hidden: small ones, and those that would give them away."""

from hypothesis import given
from hypothesis import strategies as st

from validation.suppression import SECONDARY, suppressed


def test_a_single_small_group_takes_the_smallest_other_with_it():
    assert suppressed({"a": 50, "b": 30, "c": 4}, 10) == {"c": None, "b": SECONDARY}
    assert suppressed({"a": 50, "b": 30, "c": 0}, 10) == {}
    assert suppressed({"a": 50, "b": 3, "c": 4}, 10) == {"b": None, "c": None, "a": SECONDARY}
    assert suppressed({"a": 50, "b": 6, "c": 4}, 10) == {"b": None, "c": None}
    assert suppressed({"a": 4}, 10) == {"a": None}


@given(counts=st.lists(st.integers(0, 40), max_size=8), minimum=st.integers(0, 20))
def test_no_hidden_group_can_be_worked_out(counts, minimum):
    groups = {f"g{i}": count for i, count in enumerate(counts)}
    hidden = suppressed(groups, minimum)
    assert all((hidden.get(name, "") is None) == (0 < count < minimum) for name, count in groups.items())
    shown = [name for name, count in groups.items() if name not in hidden and count > 0]
    if hidden and shown:
        assert len(hidden) >= 2
        assert sum(groups[name] for name in hidden) >= minimum
