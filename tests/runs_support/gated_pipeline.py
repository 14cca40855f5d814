"""The real pipeline behind a gate: scans wait until they may be processed, so that a run can be met in the middle."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.inference import Pipeline, ScanInput, ScanOutcome


class GatedPipeline:
    """files: kind -> checkpoint; gate: a file with the number of the last scan that may be processed yet."""

    def __init__(self, files: Mapping[str, Path]):
        self.gate = Path(files["gate"])
        self.pipeline = Pipeline.load({kind: path for kind, path in files.items() if kind != "gate"})
        self.software = self.pipeline.software

    def process(self, scans: Sequence[ScanInput]) -> list[ScanOutcome]:
        while any(int(scan.key) > int(self.gate.read_text()) for scan in scans):
            time.sleep(0.005)
        return self.pipeline.process(scans)
