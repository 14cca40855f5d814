"""Which counts are hidden, and that no hidden one can be worked out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from studies.disclosure import hidden


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([50, 40, 30], [0, 0, 0]),
        ([50, 40, 9], [0, 1, 1]),  # 9 alone would be the total less the others
        ([50, 40, 10], [0, 0, 0]),
        ([50, 40, 0], [0, 0, 0]),  # nobody: nothing to tell
        ([50, 8, 7], [0, 1, 1]),
        ([50, 4, 3], [1, 1, 1]),  # 4 and 3 sum to 7, which is a small count itself
        ([50, 4, 0], [1, 1, 0]),
        ([9], [1]),
        ([3, 0, 0], [1, 0, 0]),
    ],
)
def test_one_column(counts, expected):
    assert hidden(np.array(counts)[:, None], 10)[:, 0].tolist() == [bool(cell) for cell in expected]


def test_groups_without_a_known_total_hide_no_more_than_they_must():
    assert hidden([100, 91, 9], 10, totals_known=False).tolist() == [[False, True, True]]
    assert hidden([100, 60, 40], 10, totals_known=False).tolist() == [[False, False, False]]
    assert hidden([9, 5, 4], 10, totals_known=False).tolist() == [[True, True, True]]


def test_a_small_cell_of_one_sex_hides_that_of_the_other_and_keeps_the_whole():
    # all, women, men
    counts = [[60, 55, 5], [80, 40, 40], [90, 45, 45]]
    assert hidden(counts, 10).tolist() == [[False, True, True], [False, True, True], [False, False, False]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda levels: st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=levels, max_size=levels)
    ),
    st.integers(2, 12),
)
@example(parts=[(0, 1), (0, 1), (2, 1)], minimum=2)
@example(parts=[(0, 0), (0, 2), (2, 1)], minimum=2)
def test_no_small_count_can_be_worked_out(parts, minimum):
    """Every small count could have at least two values, given all that is shown and the totals of the columns.

    A larger count that was hidden to protect it may be worked out: where the rest of its column is nobody, say.
    """
    parts = np.array(parts)
    table = np.column_stack([parts.sum(axis=1), parts])
    # Groups too small to be shown at all are the caller's to leave out.
    if (table.sum(axis=0) < minimum).any():
        return
    mask = hidden(table, minimum)
    assert mask[(table > 0) & (table < minimum)].all()
    cells = np.flatnonzero(mask)
    if not len(cells):
        return
    equations, totals = [], []
    for column in range(3):
        row = np.zeros(table.shape)
        row[:, column] = 1
        equations.append(row.ravel())
        totals.append(table[:, column].sum())
    for level in range(len(table)):
        row = np.zeros(table.shape)
        row[level] = [1, -1, -1]
        equations.append(row.ravel())
        totals.append(0)
    equations, totals = np.array(equations), np.array(totals) - np.array(equations)[:, ~mask.ravel()] @ table[~mask]
    for place in np.flatnonzero(table.ravel()[cells] < minimum):
        goal = np.zeros(len(cells))
        goal[place] = 1
        ends = [
            linprog(sign * goal, A_eq=equations[:, cells], b_eq=totals, bounds=(0, None)).fun * sign for sign in (1, -1)
        ]
        assert ends[1] - ends[0] >= 1 - 1e-6


def test_a_row_that_is_hidden_as_a_whole_has_no_bound() -> None:
    """Findings by ingest: how many people there were of each is not known, so nothing bounds a row without numbers."""
    mask = hidden(np.array([[20, 0, 0, 20], [4, 4, 0, 0]]), 10, totals_known=False)
    assert mask.tolist() == [[False] * 4, [True, True, False, False]]
