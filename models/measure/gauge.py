"""Measuring straight from betas, with derivatives: what a fit turns thousands of times.

A shaped body is linear in its betas, so that landmark points and vertices are too, and the volume is a polynomial of
the third degree whose coefficients are computed once. Only the vertices that a tape can touch are ever computed.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from models.measure import tape
from models.measure.landmarks import GIRTHS, find_landmarks

if TYPE_CHECKING:
    from models.body.data import BodyData


class ShapeGauge:
    """Measurements of a body model as functions of betas.

    names: what `values_and_jacobian` gives, in this order: GIRTHS, then stature_cm, leg_length_cm,
    shoulder_breadth_cm and volume_l; the same definitions and units as `measure`.
    """

    names: tuple[str, ...] = (*GIRTHS, "stature_cm", "leg_length_cm", "shoulder_breadth_cm", "volume_l")

    def __init__(self, body: BodyData) -> None:
        marks = find_landmarks(body)
        self.n_betas = body.shapedirs.shape[2]
        needed = np.unique(np.concatenate([marks.edges.ravel(), marks.crown, marks.sole]))
        number = np.full(len(body.v_template), -1, np.int64)
        number[needed] = np.arange(len(needed))
        shapes = np.asarray(body.shapedirs, np.float64)
        self._template = np.ascontiguousarray(body.v_template[needed], np.float64)
        self._shapes = np.ascontiguousarray(body.shapedirs[needed], np.float32)
        self._shapes_by_beta = np.ascontiguousarray(self._shapes.reshape(-1, self.n_betas).T)
        self._point_template = marks.points @ body.v_template
        self._point_shapes = np.ascontiguousarray(
            (marks.points @ shapes.reshape(len(shapes), -1)).reshape(-1, 3, self.n_betas)
        )
        self._point_shapes_by_beta = np.ascontiguousarray(self._point_shapes.reshape(-1, self.n_betas).T)
        self._edges = number[marks.edges]
        self._crown, self._sole = number[marks.crown], number[marks.sole]
        self._marks = marks
        self._at = {name: i for i, name in enumerate(marks.names)}
        self._cubic = _volume_coefficients(body)

    def values_and_jacobian(self, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measurements (M,) of one body and their derivatives (M, K). betas (K,). The sum is the same in any batch."""
        betas = np.ascontiguousarray(betas, np.float64)
        marks = self._marks
        vertices = tape.shaped(self._template, self._shapes_by_beta, betas)
        points = tape.shaped(self._point_template, self._point_shapes_by_beta, betas)
        girths, by_beta = tape.girths_by_beta(
            vertices, self._shapes, points, self._point_shapes,
            self._edges, marks.offsets, marks.planes, marks.fractions, marks.upright, marks.girth_of, len(GIRTHS),
        )  # fmt: skip
        top = self._crown[np.argmax(vertices[self._crown, 1])]
        bottom = self._sole[np.argmin(vertices[self._sole, 1])]
        crotch = self._at["crotch"]
        left, right = self._at["left acromion"], self._at["right acromion"]
        across = points[left] - points[right]
        breadth = np.sqrt(across @ across)
        volume, volume_by_beta = tape.cubic(self._cubic, betas)
        values = np.array(
            [
                vertices[top, 1] - vertices[bottom, 1],
                points[crotch, 1] - vertices[bottom, 1],
                breadth,
                volume * 10,
            ]
        )
        derivatives = np.stack(
            [
                self._shapes[top, 1] - self._shapes[bottom, 1],
                self._point_shapes[crotch, 1] - self._shapes[bottom, 1],
                across @ (self._point_shapes[left] - self._point_shapes[right]) / breadth,
                volume_by_beta * 10,
            ]
        )
        return np.concatenate([girths, values]) * 100, np.concatenate([by_beta, derivatives]) * 100

    def values(self, betas: np.ndarray) -> dict[str, float]:
        """Measurements of one body by name."""
        return dict(zip(self.names, self.values_and_jacobian(betas)[0].tolist(), strict=True))


def _volume_coefficients(body: BodyData) -> np.ndarray:
    """T (K+1, K+1, K+1), symmetric: volume = Σ T_abc x_a x_b x_c with x = (1, betas).

    The volume under a triangle is its mean height times the area of its shadow; all of them add up to the enclosed one.
    """
    basis = np.concatenate([body.v_template[:, :, None], np.asarray(body.shapedirs, np.float64)], axis=2)
    k = basis.shape[2]
    a, b, c = (basis[np.asarray(body.faces)[:, i]] for i in range(3))
    height = (a[:, 2] + b[:, 2] + c[:, 2]) / 6
    ab, ac = b - a, c - a
    cubic = tape.triple_products(height, ab[:, 0], ac[:, 1], ac[:, 0], ab[:, 1]).reshape(k, k, k)
    cubic = sum(cubic.transpose(order) for order in itertools.permutations(range(3))) / 6
    return np.ascontiguousarray(cubic if cubic[0, 0, 0] > 0 else -cubic)
