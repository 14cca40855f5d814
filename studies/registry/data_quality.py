"""The quality of a study's data as the registry knows it: what was refused, doubted and missing, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, select

from studies.disclosure import hidden
from studies.quality.rules import rules_of
from studies.registry.catalogue import StudyRecord
from studies.registry.frames import StudyFrames
from studies.registry.schema import IngestBatch, QuarantinedRow

_TABLES = ("subjects", "readings", "scans")
_NOT_STATED = "not stated"


def quality_inputs(
    connection: Connection, study: StudyRecord, frames: StudyFrames, scans: pd.DataFrame, *, minimum: int
) -> dict[str, Any]:
    """What `data_quality` counts, and no more: no value, no date, no attribute, only whether there is one.

    frames, scans: as `study_frames` and `study_scans` give them. Tables: subjects (subject_id, site), recorded
    (subject_id, and for each attribute whether it is recorded), measurements (subject_id, visit, measurand, method,
    flags, finite), scans (subject_id, device, status, reason).
    """
    people, data = frames.subjects, frames.measurements
    recorded = people.drop(columns=["subject_id", "consent"], errors="ignore").notna()
    finite = np.isfinite(data["value"].to_numpy(dtype="float64"))
    text = dict.fromkeys(("device", "status", "reason"), "str")
    return {
        "minimum_cell": minimum,
        "ingests": _ingests(connection, study),
        "quarantine": _quarantine(connection, study),
        "subjects": people[["subject_id", "site"]].astype("str"),
        "recorded": pd.concat([people[["subject_id"]], recorded], axis=1),
        "measurements": data[["subject_id", "visit", "measurand", "method", "flags"]].assign(finite=finite),
        "scans": scans[["subject_id", *text]].astype(text),
    }


def data_quality(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Plain dicts: "ingests", "quarantine", "flags", "missing", "measurements", "sites", "devices", "scans".

    inputs: see `quality_inputs`. Counts of subjects below the minimum cell are hidden by site and device, with those
    that would reveal them.
    """
    descriptions = {rule.name: rule.description for table in _TABLES for rule in rules_of(table)}
    refused, subjects, measurements = inputs["quarantine"], inputs["subjects"], inputs["measurements"]
    scans, minimum = inputs["scans"], inputs["minimum_cell"]
    return {
        "ingests": inputs["ingests"],
        "quarantine": {**refused, "rules": [_described(item, descriptions) for item in refused["rules"]]},
        "flags": _flags(measurements, descriptions),
        "missing": _missing(inputs["recorded"]),
        "measurements": _measurements(measurements, len(subjects)),
        "sites": _sites(subjects, measurements, scans, minimum),
        "devices": _devices(scans, minimum),
        "scans": _scans(scans),
    }


def _described(item: Mapping[str, Any], descriptions: Mapping[str, str]) -> dict[str, Any]:
    name = item["rule"]
    return {"rule": name, "description": descriptions.get(name, name.replace("_", " ")), "n": item["n"]}


def _ingests(connection: Connection, study: StudyRecord) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(IngestBatch.number, IngestBatch.mapping_name, IngestBatch.status, IngestBatch.counts)
        .where(IngestBatch.study_id == study.id)
        .order_by(IngestBatch.number)
    )
    found = []
    for row in rows:
        totals: Counter[str] = Counter()
        for table in _TABLES:
            totals.update({key: int(n) for key, n in (row.counts.get(table) or {}).items() if isinstance(n, int)})
        kept = {key: totals.get(key, 0) for key in ("read", "new", "changed", "unchanged", "rejected", "flagged")}
        found.append({"number": row.number, "mapping": row.mapping_name, "status": row.status, **kept})
    return found


def _quarantine(connection: Connection, study: StudyRecord) -> dict[str, Any]:
    mine = QuarantinedRow.study_id == study.id
    rules: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    total = 0
    query = select(QuarantinedRow.source, QuarantinedRow.reasons).where(mine)
    for source, reasons in connection.execution_options(yield_per=5000).execute(query):
        total += 1
        sources[source] += 1
        rules.update({reason["rule"] for reason in reasons})
    return {
        "rows": total,
        "rules": [{"rule": name, "n": n} for name, n in _ordered(rules)],
        "sources": [{"source": name, "n": n} for name, n in _ordered(sources)],
    }


def _flags(measurements: pd.DataFrame, descriptions: dict[str, str]) -> dict[str, Any]:
    flags = measurements["flags"].astype("object")
    flagged = flags[flags.notna() & (flags != "")]
    names = Counter(name.strip() for text in flagged for name in str(text).split(","))
    return {
        "measurements": len(flagged),
        "rules": [_described({"rule": name, "n": n}, descriptions) for name, n in _ordered(names)],
    }


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _missing(recorded: pd.DataFrame) -> list[dict[str, Any]]:
    """For every attribute that some subject has, how many lack it."""
    found = []
    for name in recorded.columns.drop("subject_id"):
        lacking = int((~recorded[name]).sum())
        if lacking < len(recorded):
            share = 100 * lacking / len(recorded)
            found.append({"attribute": name, "n": lacking, "of": len(recorded), "percent": share})
    return found


def _measurements(measurements: pd.DataFrame, people: int) -> list[dict[str, Any]]:
    """For every measurand and method, its measurements, and the subjects and visits that have it."""
    found = []
    for (measurand, method), rows in measurements[measurements["finite"]].groupby(["measurand", "method"], sort=True):
        visits = len(rows[["subject_id", "visit"]].drop_duplicates())
        subjects = int(rows["subject_id"].nunique())
        row = {"measurand": measurand, "method": method, "n": len(rows), "visits": visits, "subjects": subjects}
        found.append({**row, "percent": 100 * subjects / people})
    return found


def _sites(subjects: pd.DataFrame, data: pd.DataFrame, scans: pd.DataFrame, minimum: int) -> list[dict[str, Any]]:
    sites = subjects["site"].astype("object")
    site_of = pd.Series(sites.where(sites.notna(), _NOT_STATED).to_numpy(), index=subjects["subject_id"])
    flags = data["flags"].astype("object")
    rows = pd.DataFrame(
        {"site": data["subject_id"].map(site_of).to_numpy(), "flagged": (flags.notna() & (flags != "")).to_numpy()}
    )
    looked = scans.assign(site=scans["subject_id"].map(site_of).to_numpy())
    names = sorted(set(site_of))
    counts = np.array([int((site_of == name).sum()) for name in names])
    hide = hidden(counts[:, None], minimum)[:, 0] if len(names) else np.zeros(0, dtype=bool)
    found = []
    for place, name in enumerate(names):
        if hide[place]:
            found.append({"site": name, "subjects": None, "suppressed": True})
            continue
        mine, seen = rows[rows["site"] == name], looked[looked["site"] == name]
        found.append(
            {
                "site": name, "subjects": int(counts[place]), "measurements": len(mine),
                "flagged": int(mine["flagged"].sum()), **_outcomes(seen),
            }
        )  # fmt: skip
    return found


def _devices(scans: pd.DataFrame, minimum: int) -> list[dict[str, Any]]:
    """For every device that scans were taken with (a phone, say), scans and what became of them."""
    devices = scans["device"].astype("object")
    devices = devices.where(devices.notna() & (devices != ""), _NOT_STATED)
    names = sorted(set(devices))
    subjects = np.array([int(scans.loc[devices == name, "subject_id"].nunique()) for name in names])
    hide = hidden(subjects[:, None], minimum)[:, 0] if len(names) else np.zeros(0, dtype=bool)
    return [
        {"device": name, "subjects": None, "suppressed": True}
        if hide[place]
        else {"device": name, "subjects": int(subjects[place]), **_outcomes(scans[devices == name])}
        for place, name in enumerate(names)
    ]


def _outcomes(scans: pd.DataFrame) -> dict[str, int]:
    status = scans["status"].value_counts()
    return {"scans": len(scans), **{key: int(status.get(key, 0)) for key in ("determinate", "indeterminate")}}


def _scans(scans: pd.DataFrame) -> dict[str, Any]:
    failed = scans[scans["status"].isin(["indeterminate", "unreachable"])]
    reasons = Counter((str(row.status), str(row.reason)) for row in failed.itertuples())
    return {
        **_outcomes(scans),
        "unreachable": int((scans["status"] == "unreachable").sum()),
        "reasons": [
            {"status": status, "reason": reason, "n": n}
            for (status, reason), n in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ],
    }
