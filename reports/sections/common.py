"""What reports that are not of an analysis have in common."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.bound import Bound
from reports.document import Document, Facts, Section


def bound(results: dict[str, Any]) -> Bound:
    """Results that have no pairs, bound."""
    return Bound(results, pd.DataFrame({"method": []}))


def document(
    report: Bound,
    kind: str,
    subtitle: str,
    sections: Sequence[Section],
    *,
    facts: Facts | None = None,
    created: dt.datetime | None = None,
) -> Document:
    """A report of a study with its usual title, banner and footer."""
    results = report.results
    version = (results.get("calliper") or {}).get("version") or "unknown"
    hashes = [(part, str((results.get(part) or {}).get("hash") or "")[:12]) for part in ("plan", "data")]
    return Document(
        title=results["study"].get("title") or results["study"]["name"],
        kind=kind,
        subtitle=subtitle,
        facts=facts or Facts((("Study", results["study"]["name"]),)),
        banner=report.banner,
        footer=" · ".join([f"Calliper {version}", *(f"{part} {digits}" for part, digits in hashes if digits)]),
        created=created,
        sections=tuple(sections),
    )
