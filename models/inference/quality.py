"""What can be wrong with a capture, judged from the photo, the silhouette and the segmenter's opinion."""

from __future__ import annotations

import cv2
import numpy as np

from models.inference.images import INSIDE, Bytes
from models.inference.scan import Finding
from models.networks.blocks import HEIGHT, VIEWS, WIDTH

# Reason -> the sentence for the researcher, after the view's name.
REASONS = {
    "unreadable": "the photo cannot be decoded",
    "no person": "no person is seen",
    "several people": "more than one person is seen",
    "cut off": "the person is cut off at the edge of the picture",
    "wrong view": "the photo shows another view",
    "pose": "the pose is not the one asked for",
    "blurred": "the photo is blurred",
    "too dark": "the photo is too dark",
    "inconsistent": "the photo does not agree with the other views",
    "no body": "no plausible body fits the silhouettes",
    "no stature": "the stature is not known, so that no measurement can be taken in centimetres",
}
SMALLEST_SHARE = 0.02  # of the picture; a standing person who fills half its height has about 5 %
SECOND_PERSON = 0.15  # of the largest connected part
CUT_PIXELS = 6  # of the person on the outermost row or column of the picture
SURE = 0.9  # probability from which the segmenter's opinion of whom a photo shows, and from where, counts
FAULTY = 0.5  # probability from which a photo counts as cut off, blurred or of another pose
DIM = 80  # grey level, of 255, that one pixel in a hundred of a lit photo exceeds; rendered rooms have 118 and more
BADLY_POSED = 2  # views in another pose than asked for: then the person did not follow, whatever the others look like


def judge_photo(photo: Bytes, view: str) -> list[Finding]:
    """What is wrong with the photo (256,192,3) RGB of a view, whoever it shows.

    In the dark the segmenter sees outlines badly, and in a black picture people who are not there.
    """
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    return [Finding("too dark", view)] if np.percentile(grey, 99) < DIM else []


def judge_silhouette(silhouette: Bytes, view: str) -> list[Finding]:
    """What is wrong with the silhouette (256,192) of a view."""
    inside = (silhouette >= INSIDE).astype(np.uint8)
    _, _, parts, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    areas = np.sort(parts[1:, cv2.CC_STAT_AREA])[::-1]
    if not len(areas) or areas[0] < SMALLEST_SHARE * HEIGHT * WIDTH:
        return [Finding("no person", view)]
    found = []
    if len(areas) > 1 and areas[1] > SECOND_PERSON * areas[0]:
        found.append(Finding("several people", view))
    edges = {"top": inside[0], "bottom": inside[-1], "left": inside[:, 0], "right": inside[:, -1]}
    cut = [side for side, edge in edges.items() if edge.sum() >= CUT_PIXELS]
    if cut:
        found.append(Finding("cut off", view, " and ".join(cut)))
    return found


def judge_capture(
    view: str, view_probability: np.ndarray, people_probability: np.ndarray, fault_probability: np.ndarray
) -> list[Finding]:
    """What the segmenter says of a photo: how likely each view is, none, one or several people, and each fault."""
    found = []
    none, _, several = people_probability
    if none > SURE:
        found.append(Finding("no person", view))
    if several > SURE:
        found.append(Finding("several people", view))
    likely = VIEWS[int(np.argmax(view_probability))]
    if likely != view and view_probability.max() > SURE:
        found.append(Finding("wrong view", view, f"it looks like the {likely}"))
    for reason, probability in zip(("cut off", "blurred", "pose"), fault_probability, strict=True):
        if probability > FAULTY:
            found.append(Finding(reason, view))
    return found


def badly_posed(findings: list[Finding]) -> bool:
    """Whether so many views show another pose than asked for that nothing in the scan can be trusted.

    The segmenter overlooks a pose in some views; the views that it let pass are no better than the others.
    """
    return len({finding.view for finding in findings if finding.reason == "pose"}) >= BADLY_POSED


def explain(findings: list[Finding]) -> str:
    """Findings in one sentence, for an indeterminate scan; the same for all scans of which the same is wrong."""
    parts = []
    for finding in findings:
        where = f"{finding.view}: " if finding.view else ""
        detail = f" ({finding.detail})" if finding.view and finding.detail else ""
        parts.append(f"{where}{REASONS[finding.reason]}{detail}")
    return "; ".join(dict.fromkeys(parts))


def largest_part(silhouette: Bytes) -> Bytes:
    """The silhouette without specks: its largest connected part and what lies within two pixels of it."""
    inside = (silhouette >= INSIDE).astype(np.uint8)
    n, labels, parts, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    if n == 1:
        return np.zeros_like(silhouette)
    keep = (labels == 1 + int(np.argmax(parts[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    near = cv2.dilate(keep, np.ones((5, 5), np.uint8))
    return np.where(near > 0, silhouette, 0).astype(np.uint8)
