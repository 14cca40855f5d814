"""Landmarks of a topology: where the tape goes, found once from joints, skinning weights and geometry.

Every landmark point is a weighted sum of vertices (a vertex, a mean of two, or a joint through the joint regressor), so
that it moves with the body and is linear in betas. Every tape plane lies between two landmark points: horizontal, or
perpendicular to the line between them. Nothing here depends on a vertex number, so that any topology with SMPL's
first 22 joints works: the open body, SMPL (24 joints), SMPL-X (55 joints).

Where a landmark of the living is a bone under the skin, its height is taken as a share of a segment between joints; the
shares are from ANSUR II's mean heights (means over both sexes, each divided by stature), see docs/measurements.md.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from models.errors import ModelFileError

if TYPE_CHECKING:
    from models.body.data import BodyData

# SMPL's joints; SMPL-X's first 22 are the same.
PELVIS, LEFT_HIP, RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE = 0, 1, 2, 5, 8
NECK, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW = 12, 15, 16, 17, 18, 19

# Heights between hip joints (0) and neck joint (1): ANSUR II, (height - trochanterion) / (cervicale - trochanterion).
ILIAC_CREST = 0.267
OMPHALION = 0.249
# The tape of NHANES lies just above the crest: half the tape's width, 3 mm, as a share of that segment.
TAPE_ABOVE_CREST = 0.005
# Between hip joint and knee joint: half-way from the inguinal crease to the upper border of the patella, which lies
# about a tenth of the thigh above the knee joint.
MID_THIGH = 0.5
# The gluteal fold lies about 1 % of stature under the crotch.
GLUTEAL_FOLD = 0.01
# Between neck and head joint: just under the thyroid cartilage.
INFRATHYROID = 0.30
# The lateral edge of the acromion lies beyond the shoulder joint by this share of the upper arm.
ACROMION = 0.08
# A tape looks only at edges that lie, on the template, within this share of stature of its plane: about 13 cm. Bodies
# of every shape have been checked to have no other edge there (tests/unit/measure/test_tape.py).
REACH = 0.07
# Levels between knee and ankle joint among which the largest calf girth is looked for.
CALF_LEVELS = (0.16, 0.20, 0.24, 0.28, 0.32, 0.36, 0.40)

_STANDARD = "Its template must be a standing body in T-pose, y up, z forward, in metres."

GIRTHS = (
    "chest_cm",
    "waist_cm",
    "waist_omphalion_cm",
    "hip_cm",
    "thigh_cm",
    "upper_thigh_cm",
    "arm_cm",
    "neck_cm",
    "calf_cm",
)


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What the tape needs to know of a topology.

    points:     (L, V) sparse; landmark points are `points @ vertices`. `names` (L,) names them.
    planes:     (P, 2) landmark points between which each plane lies, at `fractions` (P,); `upright` (P,) bool.
    edges:      (E, 2) vertex numbers; plane p cuts edges[offsets[p]:offsets[p + 1]].
    girth_of:   (P,) index into GIRTHS: the girth of a measurement is the largest of its planes.
    crown, sole: vertices among which the highest and the lowest is looked for.
    """

    names: tuple[str, ...]
    points: sp.csr_matrix
    planes: np.ndarray
    fractions: np.ndarray
    upright: np.ndarray
    edges: np.ndarray
    offsets: np.ndarray
    girth_of: np.ndarray
    crown: np.ndarray
    sole: np.ndarray


_KNOWN: dict[int, tuple[weakref.ref, Landmarks]] = {}


def find_landmarks(body: BodyData) -> Landmarks:
    """The landmarks of a body model, found once. Raises ModelFileError where the topology has no such landmarks."""
    known = _KNOWN.get(id(body))
    if known is not None and known[0]() is body:
        return known[1]
    found = _locate(body)
    key = id(body)  # the callback holds the table itself: names are gone when the interpreter ends
    _KNOWN[key] = (weakref.ref(body, lambda _, known=_KNOWN: known.pop(key, None)), found)
    return found


def _descendants(parents: np.ndarray, root: int) -> list[int]:
    inside = {root}
    for joint in range(len(parents)):
        if int(parents[joint]) in inside:
            inside.add(joint)
    return sorted(inside)


def _locate(body: BodyData) -> Landmarks:
    V = np.asarray(body.v_template, float)
    W = np.asarray(body.weights, float)
    joints = body.joint_regressor @ V
    if len(joints) < 22:
        raise ModelFileError(
            f"The body model '{body.name}' has {len(joints)} joints; its landmarks need SMPL's first 22.",
            remedy="Take a model with SMPL's or SMPL-X's skeleton.",
        )
    left_arm, right_arm = (W[:, _descendants(body.parents, j)].sum(1) for j in (LEFT_SHOULDER, RIGHT_SHOULDER))
    left_leg, right_leg = (W[:, _descendants(body.parents, j)].sum(1) for j in (LEFT_HIP, RIGHT_HIP))
    trunk = left_arm + right_arm < 0.5
    stature = float(np.ptp(V[:, 1]))
    hips, neck = (joints[LEFT_HIP] + joints[RIGHT_HIP]) / 2, joints[NECK]
    height = (V[:, 1] - hips[1]) / (neck[1] - hips[1])

    def extreme(candidates: np.ndarray, value: np.ndarray, what: str) -> int:
        found = np.flatnonzero(candidates)
        if not len(found):
            raise ModelFileError(
                f"The body model '{body.name}' has no {what} where one is expected.",
                remedy=_STANDARD,
            )
        return int(found[np.argmax(value[found])])

    crotch = extreme(
        (np.abs(V[:, 0]) < 0.012 * stature) & (np.abs(left_leg - right_leg) < 0.2) & trunk & (height < 0.2),
        -V[:, 1],
        "crotch",
    )
    half = np.abs(joints[LEFT_SHOULDER][0])
    on_side = {"left": V[:, 0] > 0.01 * stature, "right": V[:, 0] < -0.01 * stature}
    breast = trunk & (height > 0.45) & (height < 0.78) & (np.abs(V[:, 0]) < half)
    seat = trunk & (V[:, 1] > V[crotch, 1]) & (height < ILIAC_CREST)
    bust = [extreme(breast & side, V[:, 2], "bust point") for side in on_side.values()]
    buttock = [extreme(seat & side, -V[:, 2], "buttock") for side in on_side.values()]
    faces = np.asarray(body.faces, np.int64)
    acromion = []
    for shoulder, elbow in ((LEFT_SHOULDER, LEFT_ELBOW), (RIGHT_SHOULDER, RIGHT_ELBOW)):
        x = joints[shoulder][0] + ACROMION * (joints[elbow][0] - joints[shoulder][0])
        acromion.append(_skin_above(V, faces, x, joints[shoulder][2]))
        if acromion[-1] is None:
            raise ModelFileError(
                f"The body model '{body.name}' has no skin above its shoulder joints.", remedy=_STANDARD
            )

    one = sp.identity(len(V), format="csr")
    regressor = sp.csr_matrix(body.joint_regressor)
    rows = {
        "hips": (regressor[LEFT_HIP] + regressor[RIGHT_HIP]) / 2,
        "neck": regressor[NECK],
        "head": regressor[HEAD],
        "right hip": regressor[RIGHT_HIP],
        "right knee": regressor[RIGHT_KNEE],
        "right ankle": regressor[RIGHT_ANKLE],
        "right shoulder": regressor[RIGHT_SHOULDER],
        "right elbow": regressor[RIGHT_ELBOW],
        "bust": (one[bust[0]] + one[bust[1]]) / 2,
        "buttock": (one[buttock[0]] + one[buttock[1]]) / 2,
        "crotch": one[crotch],
        "left acromion": acromion[0],
        "right acromion": acromion[1],
    }
    names = tuple(rows)
    points = sp.vstack(list(rows.values()), format="csr")

    hip, knee = joints[RIGHT_HIP], joints[RIGHT_KNEE]
    under_fold = (hip[1] - (V[crotch, 1] - GLUTEAL_FOLD * stature)) / (hip[1] - knee[1])
    axis = (joints[HEAD] - neck) / np.linalg.norm(joints[HEAD] - neck)
    along = (V - neck) @ axis / np.linalg.norm(joints[HEAD] - neck)
    aside = np.linalg.norm(V - neck - ((V - neck) @ axis)[:, None] * axis, axis=1)
    throat = trunk & (along > -0.6) & (along < 1.2) & (aside < 0.06 * stature)
    # At the groin, skin that the hip moves only a little belongs to the thigh all the same.
    leg, arm = trunk & (right_leg > 0.1) & (right_leg > left_leg), right_arm > 0.5
    planes: list[tuple[str, str, str, float, bool, np.ndarray]] = [
        ("chest_cm", "bust", "bust", 0.0, True, trunk),
        ("waist_cm", "hips", "neck", ILIAC_CREST + TAPE_ABOVE_CREST, True, trunk),
        ("waist_omphalion_cm", "hips", "neck", OMPHALION, True, trunk),
        ("hip_cm", "buttock", "buttock", 0.0, True, trunk),
        ("thigh_cm", "right hip", "right knee", MID_THIGH, False, leg),
        ("upper_thigh_cm", "right hip", "right knee", float(under_fold), False, leg),
        ("arm_cm", "right shoulder", "right elbow", 0.5, False, arm),
        ("neck_cm", "neck", "head", INFRATHYROID, False, throat),
        *(("calf_cm", "right knee", "right ankle", level, False, leg) for level in CALF_LEVELS),
    ]
    all_edges = _unique_edges(faces)
    cut = []
    for _, start, end, fraction, upright, part in planes:
        a, b = (points[names.index(name)] @ V for name in (start, end))
        normal = np.array([0.0, 1.0, 0.0]) if upright else (b - a).ravel() / np.linalg.norm(b - a)
        near = part & (np.abs((V - a - fraction * (b - a)) @ normal) < REACH * stature)
        cut.append(all_edges[near[all_edges].all(1)])
    return Landmarks(
        names=names,
        points=points,
        planes=np.array([[names.index(a), names.index(b)] for _, a, b, *_ in planes], np.int64),
        fractions=np.array([plane[3] for plane in planes]),
        upright=np.array([plane[4] for plane in planes]),
        edges=np.ascontiguousarray(np.concatenate(cut)),
        offsets=np.cumsum([0, *(len(edges) for edges in cut)]),
        girth_of=np.array([GIRTHS.index(plane[0]) for plane in planes]),
        crown=np.flatnonzero(V[:, 1] > V[:, 1].max() - 0.06 * stature),
        sole=np.flatnonzero(V[:, 1] < V[:, 1].min() + 0.06 * stature),
    )


def _skin_above(V: np.ndarray, faces: np.ndarray, x: float, z: float) -> sp.csr_matrix | None:
    """The highest point of the skin at (x, z), as weights (1, V) of its face's corners; None where there is none."""
    corners = V[faces]
    (ax, bx, cx), (az, bz, cz) = corners[:, :, 0].T, corners[:, :, 2].T
    area = (bx - ax) * (cz - az) - (cx - ax) * (bz - az)
    area[area == 0] = np.inf
    weight_b = ((x - ax) * (cz - az) - (cx - ax) * (z - az)) / area
    weight_c = ((bx - ax) * (z - az) - (x - ax) * (bz - az)) / area
    weights = np.stack([1 - weight_b - weight_c, weight_b, weight_c], axis=1)
    inside = np.flatnonzero((weights >= 0).all(axis=1) & np.isfinite(area))
    if not len(inside):
        return None
    top = inside[np.argmax((weights[inside] * corners[inside, :, 1]).sum(axis=1))]
    return sp.csr_matrix((weights[top], ([0, 0, 0], faces[top])), shape=(1, len(V)))


def _unique_edges(faces: np.ndarray) -> np.ndarray:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0)
