"""Measuring straight from betas, with derivatives: what a fit turns thousands of times.

A shaped body is linear in its betas, so that landmark points and vertices are too, and the volume is a polynomial of the
third degree whose coefficients are computed once. Only the vertices that a tape can touch are ever computed.
"""

from __future__ import annotations

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
        self._shapes = np.ascontiguousarray(shapes[needed])
        self._point_template = marks.points @ body.v_template
        self._point_shapes = np.ascontiguousarray(
            (marks.points @ shapes.reshape(len(shapes), -1)).reshape(-1, 3, self.n_betas)
        )
        self._edges = number[marks.edges]
        self._crown, self._sole = number[marks.crown], number[marks.sole]
        self._marks = marks
        self._at = {name: i for i, name in enumerate(marks.names)}
        self._cubic = _volume_coefficients(body)

    def values_and_jacobian(self, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measurements (M,) of one body and their derivatives (M, K). betas (K,). The sum is the same in any batch."""
        betas = np.ascontiguousarray(betas, np.float64)
        marks = self._marks
        vertices = _shaped(self._template, self._shapes, betas)
        points = _shaped(self._point_template, self._point_shapes, betas)
        girths, by_beta = _all_girths(
            vertices, self._shapes, points, self._point_shapes,
            self._edges, marks.offsets, marks.planes, marks.fractions, marks.upright, marks.girth_of, len(GIRTHS),
        )  # fmt: skip
        top = self._crown[np.argmax(vertices[self._crown, 1])]
        bottom = self._sole[np.argmin(vertices[self._sole, 1])]
        crotch = self._at["crotch"]
        left, right = self._at["left acromion"], self._at["right acromion"]
        across = points[left] - points[right]
        breadth = np.sqrt(across @ across)
        volume, volume_by_beta = _cubic(self._cubic, betas)
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


@tape.jit
def _shaped(template, shapes, betas):
    out = template.copy()
    for v in range(shapes.shape[0]):
        for c in range(3):
            total = 0.0
            for k in range(shapes.shape[2]):
                total += shapes[v, c, k] * betas[k]
            out[v, c] += total
    return out


@tape.jit
def _all_girths(
    vertices, shapes, points, point_shapes, edges, offsets, planes, fractions, upright, girth_of, n_girths
):
    girths = np.zeros(n_girths)
    by_beta = np.zeros((n_girths, shapes.shape[2]))
    for p in range(planes.shape[0]):
        own = edges[offsets[p] : offsets[p + 1]]
        g = girth_of[p]
        alone = (p == 0 or girth_of[p - 1] != g) and (p == planes.shape[0] - 1 or girth_of[p + 1] != g)
        if not alone:  # one of several levels: is it the largest?
            origin, normal = tape.plane_of(points, planes[p], fractions[p], upright[p])
            line, _, _ = tape.tape_line(vertices, own, origin, normal)
            if tape.closed_length(line) <= girths[g]:
                continue
        length, gradient = tape.girth_gradient(
            vertices, shapes, points, point_shapes, own, planes[p], fractions[p], upright[p]
        )
        girths[g] = length
        by_beta[g] = gradient
    return girths, by_beta


def _volume_coefficients(body: BodyData) -> np.ndarray:
    """T (K+1, K+1, K+1), symmetric: volume = Σ T_abc x_a x_b x_c with x = (1, betas)."""
    basis = np.concatenate([body.v_template[:, :, None], np.asarray(body.shapedirs, np.float64)], axis=2)
    k = basis.shape[2]
    a, b, c = (basis[np.asarray(body.faces)[:, i]] for i in range(3))
    first = a.reshape(-1, k).T
    cubic = np.zeros((k, k, k))
    for j in range(k):
        cross = np.cross(b[:, :, j, None], c, axis=1)
        cubic[:, j, :] = first @ cross.reshape(-1, k)
    cubic /= 6
    cubic = sum(cubic.transpose(order) for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))) / 6
    return np.ascontiguousarray(cubic if cubic[0, 0, 0] > 0 else -cubic)


@tape.jit
def _cubic(coefficients, betas):
    k = len(betas) + 1
    x = np.ones(k)
    x[1:] = betas
    gradient = np.zeros(k)
    for a in range(k):
        total = 0.0
        for b in range(k):
            inner = 0.0
            for c in range(k):
                inner += coefficients[a, b, c] * x[c]
            total += inner * x[b]
        gradient[a] = total
    return (gradient * x).sum(), 3.0 * gradient[1:]
