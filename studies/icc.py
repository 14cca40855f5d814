"""Colour profiles without what they tell of their maker: the numbers that say how colours are meant, and nothing else.

Profiles that phones embed name the device's maker, a date and a text of copyright, and can hold any text. Kept are the
tags from which colours are computed; the required descriptions are replaced by fixed ones, and the header's maker,
model, creator, date and number are zeroed. Source: ISO 15076-1 (ICC.1:2022), sections 7.2, 7.3 and 9.
"""

from __future__ import annotations

import struct

_HEADER = 128
_ENTRY = 12
_MOST_TAGS = 100
_KEPT = frozenset(
    {
        b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"bkpt", b"chad", b"cicp", b"lumi",
        b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2", b"aabg", b"aagg", b"aarg",
    }
)  # fmt: skip
_NUMERIC = frozenset({b"XYZ ", b"curv", b"para", b"sf32", b"mft1", b"mft2", b"mAB ", b"mBA ", b"cicp"})
_ZEROED = ((4, 8), (24, 36), (40, 44), (48, 64), (80, 100))  # maker's module, date, platform, device, creator, number


def neutral_profile(profile: bytes) -> bytes | None:
    """The profile without texts and makers; None where it cannot be read as one (colours are then meant as sRGB)."""
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp":
        return None
    (count,) = struct.unpack(">I", profile[_HEADER : _HEADER + 4])
    if count > _MOST_TAGS or len(profile) < _HEADER + 4 + count * _ENTRY:
        return None
    tags: list[tuple[bytes, bytes]] = []
    for number in range(count):
        start = _HEADER + 4 + number * _ENTRY
        name, place, size = struct.unpack(">4sII", profile[start : start + _ENTRY])
        content = profile[place : place + size]
        if name in _KEPT and len(content) == size and content[:4] in _NUMERIC:
            tags.append((name, content))
    if not tags:
        return None
    version = profile[8]
    tags += [(b"desc", _text(version, "colours")), (b"cprt", _text(version, "none", copyright_tag=True))]
    header = bytearray(profile[:_HEADER])
    for first, last in _ZEROED:
        header[first:last] = bytes(last - first)
    table, body = struct.pack(">I", len(tags)), b""
    offset = _HEADER + 4 + len(tags) * _ENTRY
    places: dict[bytes, int] = {}
    for name, content in tags:
        if content not in places:  # curves are often the same for all colours
            body += bytes(-(offset + len(body)) % 4)
            places[content] = offset + len(body)
            body += content
        table += struct.pack(">4sII", name, places[content], len(content))
    whole = bytes(header) + table + body
    whole += bytes(-len(whole) % 4)
    return struct.pack(">I", len(whole)) + whole[4:]


def _text(version: int, text: str, *, copyright_tag: bool = False) -> bytes:
    """A text as the profile's version wants it: multi-localised from version 4 on, plain before."""
    if version >= 4:
        content = text.encode("utf-16-be")
        return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(content), 28) + content
    content = text.encode("ascii") + b"\0"
    if copyright_tag:
        return b"text" + bytes(4) + content
    return b"desc" + bytes(4) + struct.pack(">I", len(content)) + content + bytes(4 + 4 + 2 + 1 + 67)
