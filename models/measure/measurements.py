"""What is measured on a body, by one definition each, and the measuring.

Lengths in cm, area in m², volume in litres. The definitions are those of a tape on a standing person as far as a mesh
in T-pose can follow them; docs/measurements.md explains each at length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.errors import BodyRequestError
from models.measure import tape
from models.measure.landmarks import GIRTHS, Landmarks, find_landmarks

if TYPE_CHECKING:
    from models.body.data import BodyData


@dataclass(frozen=True)
class Definition:
    """One measurement: its unit, what it is in one sentence, and where the definition is from."""

    unit: str
    sentence: str
    source: str


MEASUREMENTS: dict[str, Definition] = {
    "stature_cm": Definition(
        "cm",
        "Vertical distance from the sole to the highest point of the head.",
        "ISO 8559-1:2017, stature; NHANES BMXHT",
    ),
    "chest_cm": Definition(
        "cm",
        "Horizontal girth of the trunk, without the arms, at the mean height of the two bust points.",
        "ISO 8559-1:2017, bust girth; ANSUR II, chest circumference",
    ),
    "waist_cm": Definition(
        "cm",
        "Horizontal girth of the trunk just above the uppermost lateral border of the iliac crest.",
        "NHANES BMXWAIST",
    ),
    "waist_omphalion_cm": Definition(
        "cm", "Horizontal girth of the trunk at the height of the navel.", "ANSUR II, waist circumference (omphalion)"
    ),
    "hip_cm": Definition(
        "cm",
        "Horizontal girth of the trunk at the height of the greatest protrusion of the buttocks.",
        "ISO 8559-1:2017, hip girth; ANSUR II, buttock circumference; NHANES BMXHIP",
    ),
    "thigh_cm": Definition(
        "cm",
        "Girth of the right thigh, perpendicular to its axis, half-way between inguinal crease and patella.",
        "NHANES BMXTHICR",
    ),
    "upper_thigh_cm": Definition(
        "cm",
        "Girth of the right thigh, perpendicular to its axis, just under the gluteal fold.",
        "ISO 8559-1:2017, thigh girth; ANSUR II, thigh circumference",
    ),
    "arm_cm": Definition(
        "cm",
        "Girth of the right upper arm, perpendicular to its axis, half-way between shoulder and elbow, relaxed.",
        "NHANES BMXARMC; ISO 8559-1:2017, upper arm girth",
    ),
    "neck_cm": Definition(
        "cm",
        "Girth of the neck, perpendicular to its axis, just under the thyroid cartilage.",
        "ISO 8559-1:2017, neck girth; ANSUR II, neck circumference",
    ),
    "calf_cm": Definition(
        "cm",
        "Largest girth of the right lower leg perpendicular to its axis.",
        "ISO 8559-1:2017, calf girth; ANSUR II, calf circumference; NHANES BMXCALF",
    ),
    "leg_length_cm": Definition(
        "cm",
        "Vertical distance from the sole to the crotch.",
        "ISO 8559-1:2017, inside leg height; ANSUR II, crotch height",
    ),
    "shoulder_breadth_cm": Definition(
        "cm", "Distance between the lateral edges of the two acromia (biacromial).", "ANSUR II, biacromial breadth"
    ),
    "surface_area_m2": Definition("m²", "Area of the skin of the mesh.", "geometry"),
    "volume_l": Definition("l", "Volume that the skin of the mesh encloses, lungs included.", "geometry"),
    "waist_to_hip": Definition("1", "Waist girth over hip girth.", "WHO 2008, waist–hip ratio"),
    "waist_to_stature": Definition("1", "Waist girth over stature.", "Ashwell and Hsieh 2005, waist-to-height ratio"),
}


_STAND = "Measure bodies that stand in T-pose, y up, in metres."


def measure(vertices: np.ndarray, body: BodyData) -> dict[str, np.ndarray]:
    """Every measurement of MEASUREMENTS, of bodies in T-pose.

    vertices: (N, V, 3) or (V, 3), metres, y up. Returns arrays (N,), or of shape () for one body.
    Raises BodyRequestError where vertices have another topology, are not finite, or a tape plane misses the body.
    """
    vertices = np.asarray(vertices)
    single = vertices.ndim == 2
    batch = vertices[None] if single else vertices
    expected = len(body.v_template)
    if batch.ndim != 3 or batch.shape[1:] != (expected, 3):
        raise BodyRequestError(
            f"Vertices to be measured have the shape {tuple(vertices.shape)}, not (N, {expected}, 3).",
            remedy="Measure them with the body model that they were made from.",
        )
    marks = find_landmarks(body)
    faces = np.ascontiguousarray(body.faces, np.int64)
    raw = np.empty((len(batch), len(GIRTHS) + 5))
    for i, one in enumerate(batch):
        raw[i] = _measure_one(np.ascontiguousarray(one, np.float64), marks, faces, i)
    out = {name: raw[:, i] * 100 for i, name in enumerate(GIRTHS)}
    stature, leg, shoulder, volume, area = raw[:, len(GIRTHS) :].T
    out |= {
        "stature_cm": stature * 100,
        "leg_length_cm": leg * 100,
        "shoulder_breadth_cm": shoulder * 100,
        "surface_area_m2": area,
        "volume_l": volume * 1000,
        "waist_to_hip": out["waist_cm"] / out["hip_cm"],
        "waist_to_stature": out["waist_cm"] / (stature * 100),
    }
    return {name: (out[name][0] if single else out[name].copy()) for name in MEASUREMENTS}


def _measure_one(vertices: np.ndarray, marks: Landmarks, faces: np.ndarray, row: int) -> np.ndarray:
    if not np.isfinite(vertices).all():
        raise BodyRequestError(
            f"Body {row} has vertices that are not finite numbers.", remedy="Check the betas it was made from."
        )
    points = marks.points @ vertices
    at = {name: points[i] for i, name in enumerate(marks.names)}
    spine = at["neck"] - at["hips"]
    if spine[1] < 0.8 * np.linalg.norm(spine):
        raise BodyRequestError(f"Body {row} does not stand upright.", remedy=_STAND)
    by_plane = tape.girths(vertices, points, marks.edges, marks.offsets, marks.planes, marks.fractions, marks.upright)
    girth = np.zeros(len(GIRTHS))
    np.maximum.at(girth, marks.girth_of, by_plane)
    if not girth.all():
        missed = ", ".join(name for name, value in zip(GIRTHS, girth, strict=True) if not value)
        raise BodyRequestError(f"The tape misses body {row} at: {missed}.", remedy=_STAND)
    bottom = vertices[:, 1].min()
    volume, area = tape.volume_and_area(vertices, faces)
    return np.array(
        [
            *girth,
            vertices[:, 1].max() - bottom,
            at["crotch"][1] - bottom,
            np.linalg.norm(at["left acromion"] - at["right acromion"]),
            volume,
            area,
        ]
    )


def tape_lines(vertices: np.ndarray, body: BodyData) -> dict[str, np.ndarray]:
    """Where the tape lies on one body in T-pose: for each girth the corners (H, 3) of the closed line, in metres."""
    marks = find_landmarks(body)
    vertices = np.ascontiguousarray(vertices, np.float64)
    points = marks.points @ vertices
    lines: dict[str, np.ndarray] = {}
    lengths: dict[str, float] = {}
    for p in range(len(marks.planes)):
        name = GIRTHS[marks.girth_of[p]]
        origin, normal = tape.plane_of(points, marks.planes[p], marks.fractions[p], marks.upright[p])
        edges = marks.edges[marks.offsets[p] : marks.offsets[p + 1]]
        line, _, _ = tape.tape_line(vertices, edges, origin, normal)
        if tape.closed_length(line) > lengths.get(name, 0.0):
            lengths[name], lines[name] = tape.closed_length(line), line
    return lines
