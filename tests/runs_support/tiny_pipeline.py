"""A pipeline in miniature for the tests of runs: numbers from hashes, and photos that do what they say.

It is imported by worker processes, and needs nothing but the standard library and the words of `models.inference`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.inference import Finding, Predicted, ScanInput, ScanOutcome


class TinyPipeline:
    """files: name -> a word, or a file that holds it.

    shift: is added to every body fat. delay: seconds a scan. gate: a file with the number of the last scan that may be
    processed yet; the others wait. software: its version. fail: an error while loading.
    """

    def __init__(self, files: Mapping[str, object]):
        self.gate = Path(str(files["gate"])) if files.get("gate") else None
        words = {name: _word(str(word)) for name, word in files.items() if name != "gate"}
        self.shift, self.delay = float(words.get("shift", 0)), float(words.get("delay", 0))
        self.software = {"tiny": words.get("software", "1")}
        if "fail" in words:
            raise RuntimeError(words["fail"])

    def process(self, scans: Sequence[ScanInput]) -> list[ScanOutcome]:
        return [self._one(scan) for scan in scans]

    def _one(self, scan: ScanInput) -> ScanOutcome:
        time.sleep(self.delay)
        while self.gate and int(scan.key) > int(self.gate.read_text()):
            time.sleep(0.005)
        everything = b"".join([*scan.photos.values(), *scan.silhouettes.values()])
        if b"ENDS ITS WORKER" in everything:
            os._exit(9)
        if b"HANGS" in everything:
            time.sleep(3600)
        if b"RAISES" in everything:
            raise ValueError("this photo\nwas too much")
        if b"NO PERSON" in everything:
            finding = Finding("no person", "front", "0 pixels")
            return ScanOutcome(scan.key, quality=(finding,), indeterminate="front: no person is seen")
        silhouettes = {view: outline(content) for view, content in scan.photos.items()} | scan.silhouettes
        silhouettes = dict(sorted(silhouettes.items()))
        seen = hashlib.sha256(b"".join(silhouettes.values()) + repr(scan.weight_kg).encode()).digest()
        fat = float("nan") if b"NOT A NUMBER" in everything else 10 + seen[0] / 10 + self.shift
        predictions = {
            "body_fat_percent": Predicted(fat, "%", fat - 5, fat + 5),
            "waist_cm": Predicted(60 + seen[1] / 7, "cm"),
        }
        pose = {view: [[0.1, 0.2, 0.3]] for view in silhouettes}
        return ScanOutcome(
            scan.key, predictions, [byte / 99 for byte in seen[:4]], pose, silhouettes, (), None, {"think": 0.001}
        )


def _word(given: str) -> str:
    return Path(given).read_text() if Path(given).is_file() else given


def outline(photo: bytes) -> bytes:
    """What stands for the silhouette of a photo: the same for the same photo, and none of its content."""
    return b"\x89PNG " + hashlib.sha256(photo).digest()
