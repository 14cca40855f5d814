"""What was done otherwise than planned."""

from __future__ import annotations

from reports.bound import Bound
from reports.document import List, Paragraph, Section
from reports.wording import plural


def deviations(report: Bound) -> Section:
    items = report.results.get("deviations")
    title = "Deviations from the plan"
    if items is None:
        return Section("deviations", title, (Paragraph("The analysis gives no account of deviations from the plan."),))
    if not items:
        text = "None: the locked plan was carried out as it stood before the data came in."
        return Section("deviations", title, (Paragraph(text),))
    intro = f"{plural(len(items), 'deviation')} from a plan that is locked before any data come in, and then kept:"
    return Section("deviations", title, (Paragraph(intro), List(tuple(report.words(item["what"]) for item in items))))
