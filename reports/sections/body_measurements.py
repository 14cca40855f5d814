"""The avatar's girths and lengths against the tape."""

from __future__ import annotations

from reports.bound import Bound, is_hidden
from reports.document import Column, Inline, List, Paragraph, Row, Section, Table
from reports.wording import direction, estimate_of, method_label, sentence


def body_measurements(report: Bound) -> Section:
    found = report.at(("body_measurements",)) or {}
    title = "Avatar measurements"
    if not found:
        text = (
            "No girth or length of an avatar was both predicted from a scan and measured with a tape, so the avatar "
            "could "
            "not be compared."
        )
        return Section("body-measurements", title, (Paragraph(text),))
    rows, told = [], []
    for name, item in found.items():
        path = ("body_measurements", name)
        label = f"{sentence(item['label'])} ({item['unit']})"
        if not item.get("n"):
            why = "too few" if is_hidden(item) else "none"
            rows.append(Row((label, method_label(item["reference"]), why, "", "", "", "", "")))
            continue
        inner, who = (*path, "agreement"), item["label"]
        rows.append(
            Row(
                (
                    label,
                    method_label(item["reference"]),
                    report.count(*path, "n"),
                    report.cell(*inner, "mae", who=who),
                    report.cell(*inner, "bias", who=who),
                    report.value(*inner, "limits", "lower", "estimate"),
                    report.value(*inner, "limits", "upper", "estimate"),
                    report.cell(*inner, "ccc", places=3, who=who),
                )
            )
        )
        told.append(_sentence(report, name))
    table = Table(
        "table-body",
        f"Measurements of the avatar against those of the body; {report.level} intervals in brackets.",
        (
            Column("Measurement", width=1.7),
            Column("Measured by", width=1.4),
            Column("n", "right", width=0.6),
            Column("MAE", "right", width=1.1),
            Column("Bias", "right", width=1.2),
            Column("Lower", "right", "Limits", 0.8),
            Column("Upper", "right", "Limits", 0.8),
            Column("CCC", "right", width=1.2),
        ),
        tuple(rows),
        notes=(
            "Pairs of one visit. A tape and an avatar may measure at different heights: a bias can be one of "
            "definition.",
            *report.why(),
        ),
    )
    intro = (
        "What the scan says of the body beside the measurand of this report, each compared with the measurement "
        "of the body."
    )
    return Section("body-measurements", title, (Paragraph(intro), *([List(tuple(told))] if told else []), table))


def _sentence(report: Bound, name: str) -> tuple[Inline, ...]:
    item = report.at(("body_measurements", name))
    path = ("body_measurements", name, "agreement")
    bias = report.at((*path, "bias"))
    reference = method_label(item["reference"])
    out: list[Inline] = [
        f"{sentence(item['label'])}: mean absolute error ",
        *report.said(*path, "mae", unit=item["unit"]),
    ]
    if estimate_of(bias)["estimate"] is not None:
        out += ["; ", direction(bias, f"the {method_label(item['method'])}", reference)]
        out += [" (bias ", report.value(*path, "bias", "estimate"), f" {item['unit']})"]
    return (*out, ".")
