"""Where things are on a body model: limbs, scalp, face, and places that blood shows through.

Everything is found once for each model on its template (T-pose, y up, z forward, metres), from joints, skinning weights
and shape, and so holds for every body that the model makes and for other topologies with the 24 joints of SMPL.
Fields are signed distances in metres, approximate, positive inside, so that their edges can be drawn between vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.body.data import BodyData
from models.body.skeleton import joint

COARSE_CELL_M = 0.042


@dataclass(frozen=True, eq=False)
class Face:
    """Places in the face of the template, for its two halves alike (metres)."""

    nose_y: float
    nose_z: float
    top_y: float
    unit: float  # height of the crown above the tip of the nose
    centre: np.ndarray  # of the skull


@dataclass(frozen=True, eq=False)
class Regions:
    """Fields of a body model's V vertices, all float32."""

    template: np.ndarray  # (V, 3)
    joints: np.ndarray  # (24, 3)
    scale: float  # the template's stature over 1.75 m
    crotch_y: float
    trunk: np.ndarray  # (V,) height in the trunk, 0 at the crotch and 1 at the neck's joint
    trunk_length: float
    arm: np.ndarray  # (V,) share of the vertex that the arm carries
    head: np.ndarray  # (V,) share that the head carries
    scalp: np.ndarray  # (V,) field: hair grows here
    beard: np.ndarray  # (V,) field: a beard may grow here
    blood: np.ndarray  # (V,) 0 to 1: how much blood shows through
    palm: np.ndarray  # (V,) 0 to 1: palms and soles, which are paler
    face: Face
    skull: np.ndarray  # (n,) numbers of vertices that move as the head does
    joint_directions: np.ndarray  # (24, 3, K) metres for one unit of each beta
    coarse_vertices: np.ndarray  # (m,) numbers of vertices that stand for their neighbourhood
    coarse_faces: np.ndarray  # (k, 3) faces between those, for shadows


@lru_cache(maxsize=4)
def regions(body: BodyData) -> Regions:
    """What is where on this model."""
    template = body.v_template
    joints = body.joint_regressor @ template
    weights = body.weights
    scale = np.ptp(template[:, 1]) / 1.75
    arm = weights[:, [joint(f"{s}_{j}") for s in ("left", "right") for j in ("shoulder", "elbow", "wrist", "hand")]]
    head = weights[:, joint("head")]
    between = (np.abs(template[:, 0]) < 0.02 * scale) & (template[:, 1] > joints[joint("left_knee"), 1])
    crotch = float(template[between & (weights[:, joint("head")] < 0.1), 1].min())
    length = float(joints[joint("neck"), 1] - crotch)
    face = _face(template, head, joints)
    return Regions(
        template=template.astype(np.float32),
        joints=joints,
        scale=float(scale),
        crotch_y=crotch,
        trunk=((template[:, 1] - crotch) / length).astype(np.float32),
        trunk_length=length,
        arm=arm.sum(1).astype(np.float32),
        head=head.astype(np.float32),
        scalp=_scalp(template, head, face).astype(np.float32),
        beard=_beard(template, head, face).astype(np.float32),
        blood=_blood(template, joints, face, float(scale)).astype(np.float32),
        palm=_palm(body, template, weights).astype(np.float32),
        face=face,
        skull=np.flatnonzero((head > 0.98) & (template[:, 1] > face.nose_y)),
        joint_directions=np.stack(
            [body.joint_regressor @ body.shapedirs[:, :, k].astype(np.float64) for k in range(body.n_betas)], axis=2
        ),
        **_coarse(template, body.faces, COARSE_CELL_M * float(scale)),
    )


def _face(template: np.ndarray, head: np.ndarray, joints: np.ndarray) -> Face:
    on_head = template[head > 0.5]
    nose = on_head[on_head[:, 2].argmax()]
    top = float(on_head[:, 1].max())
    unit = top - float(nose[1])
    skull = on_head[on_head[:, 1] > nose[1] + 0.35 * unit]
    centre = (skull.min(0) + skull.max(0)) / 2
    return Face(float(nose[1]), float(nose[2]), top, unit, np.array([0.0, nose[1] + 0.45 * unit, centre[2]]))


def _scalp(template: np.ndarray, head: np.ndarray, face: Face) -> np.ndarray:
    """The hairline: its height by the direction from the skull's axis, 0 in front and pi behind."""
    x, y, z = template.T
    around = np.arctan2(np.abs(x), z - face.centre[2])
    line = np.interp(
        np.rad2deg(around),
        [0, 25, 45, 62, 72, 84, 96, 108, 125, 145, 180],
        np.array([0.62, 0.62, 0.60, 0.50, 0.30, 0.12, 0.16, 0.22, 0.00, -0.22, -0.28]),
    )
    field = y - (face.nose_y + line * face.unit)
    ear = (np.abs(x) > 0.46 * face.unit) & (y < face.nose_y + 0.36 * face.unit) & (np.abs(np.rad2deg(around) - 95) < 35)
    return np.where((head > 0.3) & ~ear, field, -0.05)


def _beard(template: np.ndarray, head: np.ndarray, face: Face) -> np.ndarray:
    x, y, z = template.T
    unit = face.unit
    cheek = (
        face.nose_y
        - 0.06 * unit
        - 0.10 * unit * np.exp(-((np.abs(x) / (0.2 * unit)) ** 2))
        + 0.30 * np.maximum(np.abs(x) - 0.25 * unit, 0)
    )
    forward = z - (face.centre[2] + 0.08 * unit)
    above = y - (face.nose_y - 0.62 * unit)
    return np.where(head > 0.2, np.minimum(np.minimum(cheek - y, forward), above), -0.05)


def _blood(template: np.ndarray, joints: np.ndarray, face: Face, scale: float) -> np.ndarray:
    mirrored = template * [-1, 1, 1]
    out = np.zeros(len(template))

    def spot(place: np.ndarray, radius: float, strength: float) -> None:
        for points in (template, mirrored):
            distance = ((points - place) ** 2).sum(1)
            np.maximum(out, strength * np.exp(-distance / (radius * scale) ** 2), out=out)

    unit = face.unit
    spot(np.array([0.27 * unit, face.nose_y - 0.02 * unit, face.nose_z - 0.2 * unit]), 0.028, 0.8)
    spot(np.array([0.0, face.nose_y, face.nose_z]), 0.018, 0.7)
    spot(np.array([0.5 * unit, face.nose_y + 0.1 * unit, face.centre[2]]), 0.03, 0.7)
    spot(np.array([0.0, face.nose_y - 0.55 * unit, face.nose_z - 0.15 * unit]), 0.03, 0.3)
    wrist, hand = joints[joint("left_wrist")], joints[joint("left_hand")]
    spot(hand + 0.6 * (hand - wrist), 0.07, 0.8)
    spot(joints[joint("left_elbow")] - [0, 0, 0.045 * scale], 0.045, 0.7)
    spot(joints[joint("left_knee")] + [0, 0, 0.06 * scale], 0.055, 0.6)
    spot(joints[joint("left_foot")] + [0, 0, 0.04 * scale], 0.08, 0.6)
    spot(joints[joint("left_ankle")] - [0, 0.05 * scale, 0.05 * scale], 0.05, 0.5)
    chest = joints[joint("spine3")]
    spot(chest + np.array([0, 0.2, 0.08]) * scale, 0.10, 0.3)
    return out


def _palm(body: BodyData, template: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The side of hands and feet that looks down in the T-pose."""
    from models.render.raster import vertex_normals

    ends = weights[:, [joint(f"{s}_{j}") for s in ("left", "right") for j in ("hand", "wrist", "foot", "ankle")]].sum(1)
    down = -vertex_normals(template, body.faces)[:, 1]
    return np.clip((ends - 0.5) * 3, 0, 1) * np.clip((down - 0.15) * 2.5, 0, 1)


def _coarse(template: np.ndarray, faces: np.ndarray, cell: float) -> dict[str, np.ndarray]:
    """One vertex for each cubic cell, that nearest to the mean of the cell's, and the faces that are left between
    them."""
    cells = np.floor(template / cell).astype(np.int64)
    _, group = np.unique(cells, axis=0, return_inverse=True)
    group = group.ravel()
    count = np.bincount(group)
    mean = np.stack([np.bincount(group, template[:, c]) / count for c in range(3)], axis=1)
    off = ((template - mean[group]) ** 2).sum(1)
    order = np.lexsort((off, group))
    first = np.r_[0, np.flatnonzero(np.diff(group[order])) + 1]
    chosen = order[first]
    corners = group[faces]
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    corners = corners[whole]
    # The same face may be left several times.
    turned = np.array([np.roll(face, -int(face.argmin())) for face in corners])
    return {"coarse_vertices": chosen, "coarse_faces": np.unique(turned, axis=0).astype(np.int64)}
