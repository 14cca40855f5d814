"""Pictures in the shape that the networks want."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.networks.blocks import HEIGHT, WIDTH

Bytes = NDArray[np.uint8]
INSIDE = 128  # from this value on a pixel of a silhouette belongs to the person
FILLED = 0.94  # share of the height, or of the width if that is tighter, that a person fills in a fitted silhouette
ANOTHER_SHAPE = 0.9  # share of the networks' picture that a whole photo covers at most where its shape is another
SMALL = 0.65  # share of the height that a person fills at least in the photos that the networks learn from
CLEAR = 4  # rows
CLOSE = 0.77  # share of the height that a person fills there in the middle
WIDEST = 0.94  # share of the width that a person fills at most in a close-up
_LONGEST_SIDE = 20_000
_ENOUGH = 4 * HEIGHT  # rows of a photo from which a close-up of the smallest person is sharp


class UnreadableImage(ValueError):
    """Bytes that are no picture; the text says why."""


def decode_photo(content: bytes) -> Bytes:
    """An encoded photo -> (H,W,3) RGB. Raises: UnreadableImage."""
    return cv2.cvtColor(_decode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def decode_silhouette(content: bytes) -> Bytes:
    """An encoded silhouette -> (256,192). Raises: UnreadableImage."""
    found = _decode(content, cv2.IMREAD_GRAYSCALE)
    if found.shape != (HEIGHT, WIDTH):
        raise UnreadableImage(
            f"a silhouette has {HEIGHT} × {WIDTH} pixels, this one {found.shape[0]} × {found.shape[1]}"
        )
    return found


def _decode(content: bytes, how: int) -> Bytes:
    try:
        found = cv2.imdecode(np.frombuffer(content, np.uint8), how) if content else None
    except cv2.error as error:
        raise UnreadableImage("the image cannot be decoded") from error
    if found is None:
        raise UnreadableImage("the image cannot be decoded")
    if max(found.shape) > _LONGEST_SIDE:
        raise UnreadableImage(f"the image is larger than {_LONGEST_SIDE} pixels")
    return found


def encode_silhouette(silhouette: Bytes) -> bytes:
    """A silhouette (H,W) as PNG; the same silhouette gives the same bytes."""
    done, content = cv2.imencode(".png", silhouette, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise UnreadableImage("the silhouette cannot be written as PNG")
    return content.tobytes()


def letterbox(photo: Bytes) -> Bytes:
    """The whole photo (H,W,3) in (256,192,3), its proportions kept, its borders drawn out over what is left."""
    height, width = photo.shape[:2]
    scale = min(HEIGHT / height, WIDTH / width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(photo, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = WIDTH - inner[0], HEIGHT - inner[1]
    return cv2.copyMakeBorder(small, y // 2, y - y // 2, x // 2, x - x // 2, cv2.BORDER_REPLICATE)


def no_larger_than_needed(photo: Bytes) -> Bytes:
    """The photo (H,W,3), made smaller if it has more rows than any close-up needs."""
    high, wide = photo.shape[:2]
    if high <= _ENOUGH:
        return photo
    return cv2.resize(photo, (max(1, round(wide * _ENOUGH / high)), _ENOUGH), interpolation=cv2.INTER_AREA)


def has_another_shape(photo: Bytes) -> bool:
    """Whether a photo (H,W,3) is narrower or wider than the 3:4 of the photos that the networks learn from."""
    high, wide = photo.shape[:2]
    return min(HEIGHT / high, WIDTH / wide) ** 2 * high * wide < ANOTHER_SHAPE * HEIGHT * WIDTH


def middle(photo: Bytes) -> Bytes:
    """The middle of a photo (H,W,3), as much of it as has the networks' shape, in (256,192,3)."""
    high, wide = photo.shape[:2]
    height, width = min(high, round(wide * HEIGHT / WIDTH)), min(wide, round(high * WIDTH / HEIGHT))
    top, left = (high - height) // 2, (wide - width) // 2
    return letterbox(photo[top : top + height, left : left + width])


def is_as_usual(silhouette: Bytes) -> bool:
    """Whether the person of a silhouette (256,192), not empty, is as large as in the photos that the networks learn
    from, and clear of the upper and lower edge."""
    top, bottom, _, _ = _box(silhouette)
    return bottom - top >= SMALL * HEIGHT and top >= CLEAR and bottom <= HEIGHT - CLEAR


def close_up(photo: Bytes, silhouette: Bytes) -> Bytes:
    """The part of a photo (H,W,3) around the person, in (256,192,3), as if taken from nearer.

    silhouette (256,192), not empty: the person in the whole photo, as `letterbox` shows it. The borders are drawn out
    over what the part has beyond them.
    """
    high, wide = photo.shape[:2]
    scale = min(HEIGHT / high, WIDTH / wide)
    top, bottom, left, right = _box(silhouette)
    height = max((bottom - top) / CLOSE, (right - left) / WIDEST * HEIGHT / WIDTH) / scale
    size = np.array([height * WIDTH / HEIGHT, height])
    centre = np.array([(left + right - WIDTH) / 2 / scale + wide / 2, (top + bottom - HEIGHT) / 2 / scale + high / 2])
    centre = np.clip(centre, 0, (wide, high))  # a person in the drawn-out borders is none, but no reason to fail
    (x, y), (x_end, y_end) = np.rint(centre - size / 2).astype(int), np.rint(centre + size / 2).astype(int)
    inside = photo[max(0, y) : y_end, max(0, x) : x_end]
    beyond = max(0, -y), max(0, y_end - high), max(0, -x), max(0, x_end - wide)
    part = cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE)
    shrunk = part.shape[0] > HEIGHT
    return cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR)


def _box(silhouette: Bytes) -> tuple[int, int, int, int]:
    """Rows and columns of the person: the first and the one after the last of each."""
    rows, columns = (np.flatnonzero((silhouette >= INSIDE).any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def fit_silhouette(silhouette: Bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The person alone, centred and as large as fits, and where the person was.

    silhouette (256,192), not empty. Returns (256,192) from 0 to 1, and centre x, centre y, height and width of the
    person's box as shares of the picture.
    """
    top, bottom, left, right = _box(silhouette)
    height, width = bottom - top, right - left
    scale = FILLED * min(HEIGHT / height, WIDTH / width)
    move = np.array(
        [[scale, 0, WIDTH / 2 - scale * (left + right) / 2], [0, scale, HEIGHT / 2 - scale * (top + bottom) / 2]]
    )
    move[:, 2] += (scale - 1) / 2  # OpenCV counts from the centres of pixels
    fitted = cv2.warpAffine(silhouette, move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderValue=0)
    box = [(left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT, height / HEIGHT, width / WIDTH]
    return fitted.astype(np.float32) / 255, np.array(box, np.float32)
