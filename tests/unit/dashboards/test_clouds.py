"""Many pairs as counts in a grid."""

from __future__ import annotations

import base64

import numpy as np

from dashboards.charts.agreement import counted, packed, spans


def test_every_point_is_counted_in_its_cell() -> None:
    random = np.random.default_rng(2)
    x, y = random.normal(30, 8, 20_000), random.normal(0, 3, 20_000)
    xlim, ylim = spans([x]), spans([y])
    counts, xs, ys = counted(x, y, xlim, ylim)
    expected, x_edges, y_edges = np.histogram2d(x, y, bins=counts.shape, range=[xlim, ylim])
    assert counts.sum() == len(x)
    assert (counts == expected).all()
    assert np.allclose(xs, (x_edges[1:] + x_edges[:-1]) / 2)
    assert np.allclose(ys, (y_edges[1:] + y_edges[:-1]) / 2)


def test_a_point_on_the_upper_end_belongs_to_the_last_cell() -> None:
    counts, _, _ = counted(np.array([1.0]), np.array([1.0]), (0.0, 1.0), (0.0, 1.0))
    assert counts[-1, -1] == 1


def test_numbers_are_packed_as_they_are() -> None:
    values = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    found = packed(values)
    assert (found["dtype"], found["shape"]) == ("f4", "2, 3")
    read = np.frombuffer(base64.b64decode(found["bdata"]), "<f4").reshape(2, 3)
    assert np.array_equal(read, values, equal_nan=True)
