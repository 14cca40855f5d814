"""What a report was made from: of every kind as much as its results know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reports.bound import Bound
from reports.document import Code, Facts, Inline, Paragraph, Section
from reports.wording import listed

_RUNS = {"run": "Run", "baseline": "Baseline", "candidate": "Candidate"}


def provenance(report: Bound) -> Section:
    results = report.results
    made = results.get("calliper") or {}
    items: list[tuple[str, Any]] = [
        ("Study", (results["study"].get("title") or "", " (", Code(results["study"]["name"]), ")")),
        *_data(report),
        *_plan(report),
        *_protocol(report),
        *_runs(report),
        ("Calliper", str(made.get("version") or "unknown")),
        ("Format of results", str(made.get("format") or "unknown")),
    ]
    text = (
        "The same data, plan and software give the same results, to the last digit. The numbers of this report are "
        "those of results.json, where they stand unrounded."
    )
    return Section("provenance", "Provenance", (Paragraph(text), Facts(tuple(items))))


def _data(report: Bound) -> Iterator[tuple[str, Any]]:
    data = report.results.get("data")
    if data is None:
        return
    held = [
        (report.count("data", key), f" {key if data[key] != 1 else key[:-1]}")
        for key in ("subjects", "visits", "measurements", "scans")
        if data.get(key) is not None
    ]
    sizes: list[Inline] = []
    for position, part in enumerate(held):
        sizes += [*([", "] if position else []), *part]
    if sizes:
        yield "Data", tuple(sizes)
    yield "Data hash", Code(str(data.get("hash") or "unknown"))
    if data.get("scans_hash"):
        yield "Hash of scans", Code(str(data["scans_hash"]))


def _plan(report: Bound) -> Iterator[tuple[str, Any]]:
    plan = report.results.get("plan") or {}
    if plan.get("version") is None:
        return
    title = report.plan.get("title")
    yield "Plan", f"{f'{title} · ' if title else ''}version {plan['version']}"
    yield "Plan hash", Code(str(plan.get("hash") or "unknown"))
    yield "Plan locked", "yes" if plan.get("locked") else "no"


def _protocol(report: Bound) -> Iterator[tuple[str, Any]]:
    protocol = report.results.get("protocol")
    if protocol:
        yield "Protocol", f"version {protocol['version']}"
        yield "Protocol hash", Code(str(protocol["hash"]))


def _runs(report: Bound) -> Iterator[tuple[str, Any]]:
    for key, label in _RUNS.items():
        run = report.results.get(key)
        number = next((name for name in ("number", "run") if name in (run or {})), None)
        if run is None or number is None:  # the baseline of drift is no run
            continue
        used = listed(f"{kind} {name}" for kind, name in (run.get("checkpoints") or {}).items())
        software = ", ".join(f"{name} {version}" for name, version in (run.get("software") or {}).items())
        what = "".join([f": {used}" if used else "", f"; made with {software}" if software else ""])
        told = (report.count(key, number), what)
        yield label, (("run ", *told) if key != "run" else told)
