"""What the report was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.bound import Bound
from reports.document import Code, Facts, Inline, Paragraph, Section


def provenance(report: Bound) -> Section:
    results = report.results
    plan, data = results["plan"], results["data"]
    held = [
        (report.count("data", key), f" {key if data[key] != 1 else key[:-1]}")
        for key in ("subjects", "visits", "measurements")
        if data.get(key) is not None
    ]
    sizes: list[Inline] = []
    for position, part in enumerate(held):
        sizes += [*([", "] if position else []), *part]
    items: list[tuple[str, Any]] = [
        ("Study", (results["study"].get("title") or "", " (", Code(results["study"]["name"]), ")")),
        ("Data", tuple(sizes) or "unknown"),
        ("Data hash", Code(str(data.get("hash") or "unknown"))),
        ("Plan", f"{report.plan.get('title', '')} · version {plan.get('version')}"),
        ("Plan hash", Code(str(plan.get("hash") or "unknown"))),
        ("Plan locked", "yes" if plan.get("locked") else "no"),
        ("Calliper", str(results.get("calliper", {}).get("version") or "unknown")),
        ("Format of results", str(results.get("calliper", {}).get("format") or "unknown")),
    ]
    software = results.get("software")
    if isinstance(software, Mapping):
        items += [(str(name), str(version)) for name, version in software.items()]
    text = (
        "The same data, plan and software give the same results, to the last digit. The numbers of this report are "
        "those of results.json, where they stand unrounded."
    )
    return Section("provenance", "Provenance", (Paragraph(text), Facts(tuple(items))))
