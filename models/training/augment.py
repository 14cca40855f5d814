"""What a silhouette goes through before a network sees it: the errors that segmenters make."""

from __future__ import annotations

import cv2
import numpy as np

from models.inference.images import INSIDE, Bytes
from models.networks.blocks import HEIGHT, WIDTH


def roughen(silhouette: Bytes, rng: np.random.Generator) -> Bytes:
    """A silhouette (256,192) as a segmenter might give it: borders a little off, uncertain and uneven, bits missing."""
    out = silhouette.astype(np.float32)
    # An outline that wanders: the threshold varies slowly over the picture.
    wander = cv2.resize(rng.normal(0, 1, (16, 12)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.5, 1.4)))
    shift = rng.normal(0, 14) + rng.uniform(0, 28) * wander
    out = (soft - (INSIDE + shift)) * rng.uniform(1.5, 5) + INSIDE
    if rng.random() < 0.15:  # a bite or a bump at the border
        rows, columns = np.nonzero(silhouette >= INSIDE)
        at = int(rng.integers(len(rows)))
        radius = int(rng.integers(2, 7))
        cv2.circle(out, (int(columns[at]), int(rows[at])), radius, 0.0 if rng.random() < 0.6 else 255.0, -1)
    return out.clip(0, 255).astype(np.uint8)
