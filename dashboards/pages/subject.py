"""Subject: one person's readings, scans and predictions over time, and the avatar. Every look is audited."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
from dash import dcc, html

from dashboards import tables
from dashboards.charts.subject import avatar_chart, fit_svg, timeline
from dashboards.components.measurands import measurand_switches
from dashboards.components.text import whole
from dashboards.view import Grid, Page, Part, View
from models.avatar.morph import Morpher
from models.avatar.outline import outlines
from models.body import open_body
from models.errors import BodyRequestError
from models.measure import MEASUREMENTS
from reports.bound import Bound
from reports.document import Badge, Callout, Column, Facts, Row, Section, Table
from reports.wording import group_label, number, plural, sentence
from studies.errors import UsageError
from studies.measurands import MEASURANDS
from studies.registry.audit import record_view
from studies.registry.catalogue import find_study
from studies.registry.frames import finished_run

_TONES = {"determinate": "good", "indeterminate": "unsure", "unreachable": "neutral"}
PHOTOS_FOR = "analyst"


def build(view: View) -> list[Part]:
    with view.queries.reading() as connection:
        study = find_study(connection, view.study)
        person = tables.subject(connection, study.id, view.item)
        if person is None:
            raise UsageError(
                f"The study has no subject '{view.item}'.", remedy="Codes are as in the sources; capitals matter."
            )
        run = view.filters.run or finished_run(connection, study.id)
        readings = tables.readings_of(connection, person.id)
        predictions = tables.predictions_of(connection, person.id, run)
        scans = tables.scans_of(connection, person.id, study.id, run)
    # Before anything is shown: what cannot be recorded is not shown.
    view.queries.registry_write(
        lambda registry: record_view(
            registry, "subject", view.item, study=view.study, subject=view.item, actor=view.account.name, page="subject"
        )
    )
    report = _report(view)
    parts: list[Part] = [_facts(person)]
    values = _values(report, readings, predictions)
    switches = measurand_switches(view)
    parts += [html.Div(switches, className="switches")] if switches else []
    parts += [
        Section("over-time", "Over time", ()),
        timeline(report, values, _least_changes(report)),
        Section("readings", "Readings", (_readings(readings),)),
    ]
    parts += _scans(view, scans, run, keeps_photos=person.consent == "photos")
    parts += _avatar(view, report, person, readings, predictions, scans)
    return parts


def _report(view: View) -> Bound:
    analysis = view.analysis
    return Bound(analysis.results, analysis.pairs)


def _facts(person: Any) -> Facts:
    items = [
        ("Subject", person.code),
        ("Site", person.site or "not stated"),
        ("Sex", _SEXES.get(person.sex, "not stated")),
        ("Age at enrolment", "not stated" if person.age is None else f"{person.age:.1f} years"),
        ("Ethnicity", group_label(person.ethnicity or "not stated", "ethnicity")),
        ("Keeps", _KEEPS[person.consent]),
    ]
    return Facts(tuple(items))


_SEXES = {"F": "woman", "M": "man"}
_KEEPS = {"photos": "photos", "silhouettes": "silhouettes", "none": "numbers only"}


def _values(report: Bound, readings: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    measurand = report.results["measurand"]["name"]
    columns = ["measured_at", "visit", "method", "value", "low", "high"]
    mine = readings[readings["measurand"] == measurand].assign(low=np.nan, high=np.nan)
    made = predictions[predictions["measurand"] == measurand].assign(method="scan")
    parts = [part[columns].astype({"value": float, "low": float, "high": float}) for part in (mine, made) if len(part)]
    if not parts:
        return pd.DataFrame(columns=columns)
    joined = pd.concat(parts, ignore_index=True).dropna(subset=["value"])
    joined["measured_at"] = pd.to_datetime(joined["measured_at"])
    return joined.sort_values(["method", "measured_at", "visit"], ignore_index=True)


def _least_changes(report: Bound) -> dict[str, float]:
    """Method -> least significant change, as the study's repeats give it."""
    found = report.at(("precision", "methods")) or {}
    changes = {name: ((groups.get("All") or {}).get("lsc") or {}).get("estimate") for name, groups in found.items()}
    return {name: value for name, value in changes.items() if value is not None}


def _readings(readings: pd.DataFrame) -> Table:
    rows = []
    for row in readings.to_dict("records"):
        measurand = MEASURANDS.get(row["measurand"])
        label = measurand.label if measurand else row["measurand"]
        when = "" if pd.isna(row["measured_at"]) else whole(f"{row['measured_at']:%Y-%m-%d %H:%M}")
        rows.append(
            Row(
                (
                    sentence(label),
                    row["method"],
                    row["visit"],
                    when,
                    row["device"] or "–",
                    str(row["replicate"]),
                    f"{number(row['value'], 1)} {row['unit']}",
                    row["flags"] or "",
                )
            )
        )
    columns = (
        Column("Measurand"),
        Column("Method"),
        Column("Visit"),
        Column("When"),
        Column("Device"),
        Column("Repeat", "right"),
        Column("Value", "right"),
        Column("Flags"),
    )
    return Table("table-readings", f"{plural(len(rows), 'reading')}.", columns, tuple(rows))


def _scans(view: View, scans: list[dict[str, Any]], run: int | None, *, keeps_photos: bool) -> list[Part]:
    rows = []
    for scan in scans:
        when = "–" if scan["captured_at"] is None else whole(f"{scan['captured_at']:%Y-%m-%d %H:%M}")
        status = Badge(scan["status"], _TONES[scan["status"]]) if scan["status"] else "not looked at"
        kept = [photo.view for photo in scan["photos"] if photo.deleted_at is None]
        rows.append(
            Row(
                (
                    scan["code"],
                    scan["visit"],
                    when,
                    scan["phone"] or "–",
                    "rendered" if scan["rendered"] else "photographed",
                    ", ".join(kept) or "deleted",
                    status,
                    scan["reason"] or "",
                )
            )
        )
    names = (
        "Scan",
        "Visit",
        "Captured",
        "Phone",
        "Photos are",
        "Views kept",
        f"In run {run}" if run else "In a run",
        "Reason",
    )
    table = Table("table-scans", f"{plural(len(rows), 'scan')}.", tuple(Column(name) for name in names), tuple(rows))
    pictures = [image for scan in scans for image in _pictures(view, scan, keeps_photos=keeps_photos)]
    shown = [html.Div(pictures, className="photos")] if pictures else []
    return [Section("scans", "Scans", (table,)), *shown]


def _pictures(view: View, scan: dict[str, Any], *, keeps_photos: bool) -> list[Any]:
    """Silhouettes that are kept; photos of those who opted in to keep them, for those who may see them."""
    base = f"/picture/{quote(view.study, safe='')}/{quote(view.item, safe='')}/{scan['id']}"
    found = [
        (f"{base}/silhouette/{item.view}", f"Silhouette, {item.view}, scan {scan['code']}")
        for item in scan["silhouettes"]
    ]
    if keeps_photos and view.account.may(PHOTOS_FOR):
        kind = "Rendered photo" if scan["rendered"] else "Photo"
        found += [
            (f"{base}/photo/{item.view}", f"{kind}, {item.view}, scan {scan['code']}")
            for item in scan["photos"]
            if item.deleted_at is None
        ]
    return [html.Figure([html.Img(src=src, alt=alt, height=220), html.Figcaption(alt)]) for src, alt in found]


# The avatar -----------------------------------------------------------------------------------------------------------


def morpher_of(
    report: Bound, sex: str | None, readings: pd.DataFrame, predictions: pd.DataFrame, scans: list[dict[str, Any]]
) -> tuple[Morpher, dict[str, Any]] | None:
    """The newest scan with an avatar as a body that can be morphed, and the scan; None where there is none."""
    scan = next((scan for scan in reversed(scans) if scan["betas"]), None)
    if scan is None:
        return None
    name = "body_fat_percent"
    here = predictions[(predictions["scan"] == scan["code"]) & (predictions["measurand"] == name)]["value"].dropna()
    fat = readings[(readings["measurand"] == name) & (readings["visit"] == scan["visit"])]["value"].dropna()
    known = [*here.tolist(), *fat.tolist()]
    if not known:
        return None
    mass = readings[(readings["measurand"] == "weight_kg") & (readings["visit"] == scan["visit"])]["value"].dropna()
    weight = float(mass.iloc[0]) if len(mass) else None
    betas = np.asarray(scan["betas"], dtype=float)
    try:
        return Morpher(betas, body_fat_percent=float(known[0]), weight_kg=weight, sex=sex), scan
    except BodyRequestError:
        return Morpher(betas, body_fat_percent=float(np.clip(known[0], 5, 55)), sex=sex), scan


def _avatar(
    view: View,
    report: Bound,
    person: Any,
    readings: pd.DataFrame,
    predictions: pd.DataFrame,
    scans: list[dict[str, Any]],
) -> list[Part]:
    try:
        found = morpher_of(report, person.sex, readings, predictions, scans)
    except BodyRequestError as error:
        return [Section("avatar-of", "Avatar", (Callout("The avatar cannot be shown", (str(error),), "unsure"),))]
    if found is None:
        said = "No finished run has made an avatar of this subject's scans."
        return [Section("avatar-of", "Avatar", (Callout("There is no avatar", (said,), "neutral"),))]
    morpher, scan = found
    low, high = morpher.range
    start = morpher.start.body_fat_percent
    asked = _asked(view, start, low, high)
    measured = morpher.measured(asked)
    here, then = morpher.start, morpher.at(asked)
    before = morpher.measured(start)
    rows = [
        Row(("Body fat (%)", number(start, 1), number(asked, 1))),
        Row(("Mass (kg)", number(here.weight_kg, 1), number(then.weight_kg, 1))),
        *(
            Row((_measure_label(name), *(number(found[name], _places(name)) for found in (before, measured))))
            for name in measured
            if name in before
        ),
    ]
    columns = (Column("Measure"), Column("As scanned", "right"), Column("At the chosen body fat", "right"))
    table = Table("table-avatar", f"The avatar of scan {scan['code']}.", columns, tuple(rows))
    data = pd.DataFrame(
        {"measure": list(measured), "as scanned": [before[n] for n in measured], "chosen": list(measured.values())}
    )
    alt = (
        f"Avatar of {view.item} from scan {scan['code']} at {number(asked, 1)} % body fat, "
        f"{number(then.weight_kg, 1)} kg; "
        f"waist {number(measured.get('waist_cm'), 1)} cm."
    )
    chart = avatar_chart(
        morpher.vertices(asked), morpher.body.faces, alt, f"Avatar at {number(asked, 1)} % body fat", data
    )
    least, most = int(np.ceil(low)), int(np.floor(high))
    slider = html.Div(
        [
            html.Span("Body fat (%)", className="label", id="avatar-label"),
            dcc.Store(id="avatar-shown", data=round(asked)),
            dcc.Slider(
                id="avatar-fat",
                min=least,
                max=most,
                step=1,
                value=round(asked),
                included=False,
                marks={v: str(v) for v in range(least, most + 1) if v % 5 == 0},
                updatemode="mouseup",
            ),
        ],
        className="slider",
    )
    return [Section("avatar-of", "Avatar", ()), slider, Grid((chart, fit(view, scan, person.consent))), table]


# The fit --------------------------------------------------------------------------------------------------------------

_FIT = (
    "Grey: the silhouette that was kept. Blue line: the avatar, in the pose that was found with it. A scan does not "
    "say where its camera stood: the avatar is seen by a typical phone, and both are centred by their boxes and made "
    "as large, as for the network. Clothes and hair are no part of the avatar. Overlap: the area that both cover, of "
    "the area that either covers."
)
_NOTHING_KEPT = {
    "photos": "Of this subject photos are kept, and no silhouettes.",
    "silhouettes": "No silhouette of this scan is kept yet.",
    "none": "Of this subject only numbers are kept.",
}


def fit(view: View, scan: dict[str, Any], consent: str) -> html.Figure:
    """The avatar's outline over each silhouette of its scan, or why there is none."""
    pictures, told = [], []
    for item in scan["silhouettes"]:
        try:
            svg, overlap = view.queries.once(_fit_key(item, scan), lambda item=item: _drawn(view, scan, item))
        except (BodyRequestError, FileNotFoundError, KeyError) as error:
            told.append(f"{sentence(item.view)}: {_WHY.get(type(error), str(error))}.")
            continue
        alt = f"Outline of the avatar over the {item.view} silhouette of scan {scan['code']}: overlap {overlap:.0%}."
        source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
        caption = html.Figcaption(f"{sentence(item.view)}: overlap {number(100 * overlap, 0)} %")
        pictures.append(html.Figure([html.Img(src=source, alt=alt), caption]))
    if not scan["silhouettes"]:
        told.append(f"{_NOTHING_KEPT[consent]} The fit cannot be drawn.")
    return html.Figure(
        [
            html.Div([html.H3(f"Fit to the silhouettes of scan {scan['code']}")], className="caption-row"),
            *([html.Div(pictures, className="photos fit")] if pictures else []),
            html.Figcaption([html.P(text, className="note") for text in [*told, *([_FIT] if pictures else [])]]),
        ],
        className="chart",
        id="fit",
    )


_WHY: dict[type[Exception], str] = {
    FileNotFoundError: "its file is not in the workspace any more",
    KeyError: "the run did not use this view",
}


def _fit_key(item: Any, scan: dict[str, Any]) -> tuple[Any, ...]:
    pose = (scan["pose"] or {}).get(item.view)
    return "fit", item.view, item.sha256, tuple(scan["betas"]), str(pose)


def _drawn(view: View, scan: dict[str, Any], item: Any) -> tuple[str, float]:
    pose = np.asarray((scan["pose"] or {})[item.view], dtype=float)
    content = view.queries.registry.photos.read(item.sha256, item.media_type)
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise BodyRequestError("its file cannot be read")
    found = outlines(mask, np.asarray(scan["betas"], dtype=float), pose, item.view, open_body())
    return fit_svg(found), found.overlap


def _asked(view: View, start: float, low: float, high: float) -> float:
    try:
        value = float(view.options.get("fat", start))
    except ValueError:
        return start
    return min(max(value, low), high) if np.isfinite(value) else start


def _measure_label(name: str) -> str:
    measurand = MEASURANDS.get(name)
    if measurand:
        return f"{sentence(measurand.label)} ({measurand.unit})"
    unit = MEASUREMENTS[name].unit
    plain = sentence(name.rpartition("_")[0].replace("_", " "))
    return sentence(name.replace("_", " ")) if unit == "1" else f"{plain} ({unit})"


def _places(name: str) -> int:
    return 2 if MEASUREMENTS[name].unit in ("1", "m²") else 1


PAGE = Page("subject", "Subject", build, filtered=False, linked=False, of_item=True, measurands=True)
