"""Photos named by scans: found, checked, stripped and put into the store before the scan is judged."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from studies.ingest.load import VIEWS
from studies.photos import PhotoProblem, PhotoStore, check, locate
from studies.progress import Stage
from studies.readers import SourceTable


def check_photos(chunk: pd.DataFrame, tables: Sequence[SourceTable], store: PhotoStore, stage: Stage) -> pd.DataFrame:
    """Adds `photos` (JSON of the usable ones), `photo_problem`, `photo_doubt` and `photo_view` (the view at fault).

    A usable photo is stored at once: the store is addressed by content, so that it is harmless if the ingest ends here.
    """
    found, problems, doubts, at_fault = [], [], [], []
    for row in chunk[["source", *VIEWS]].itertuples(index=False):
        folder = tables[int(row.source)].path.parent
        photos: dict[str, dict[str, object]] = {}
        problem: list[str] = []
        doubt: list[str] = []
        view_at_fault = None
        for view in VIEWS:
            name = getattr(row, view)
            if pd.isna(name):
                continue
            try:
                photo = check(locate(folder, name))
            except PhotoProblem as fault:
                problem.append(f"photo '{name}' {fault}")
                view_at_fault = view_at_fault or view
                continue
            except OSError as error:
                problem.append(f"photo '{name}' cannot be read ({error.strerror or error})")
                view_at_fault = view_at_fault or view
                continue
            if photo.doubt:
                doubt.append(f"photo '{name}' {photo.doubt}")
                view_at_fault = view_at_fault or view
            photos[view] = {
                "sha256": photo.sha256, "media_type": photo.media_type, "width": photo.width, "height": photo.height,
                "bytes": len(photo.content),
            }  # fmt: skip
            if not problem:
                store.put(photo)
        if not photos and not problem:
            problem.append("no photo is named in any of the views")
        found.append(json.dumps(photos, sort_keys=True))
        problems.append("; ".join(problem) or None)
        doubts.append("; ".join(doubt) or None)
        at_fault.append(view_at_fault)
        stage.advance()
    text = {"photos": found, "photo_problem": problems, "photo_doubt": doubts, "photo_view": at_fault}
    return chunk.assign(**{name: pd.Series(values, index=chunk.index, dtype="str") for name, values in text.items()})
