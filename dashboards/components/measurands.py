"""Which measurand a page looks at: the plan's, or one that the avatar gives beside it, said to be exploratory."""

from __future__ import annotations

from typing import Any

from dashboards.components.switches import switch
from dashboards.view import View
from reports.bound import Bound
from reports.document import Callout
from reports.wording import sentence

_GIVEN = "stature_cm"


def measurand_switches(view: View) -> list[Any]:
    """The plan's measurand, and those beside it; nothing where there is no other."""
    planned = view.queries.analysis(view.study, view.filters.run)
    if not planned.measurands:
        return []
    chosen = view.analysis.results
    name = chosen["measurand"]["name"] if chosen.get("exploratory") else ""
    return [
        switch(view, "Measurand", "measurand", {"": planned.results["measurand"]["label"]}, name, ""),
        switch(view, "Exploratory", "measurand", planned.measurands, name, ""),
    ]


def exploratory_note(report: Bound, *more: str) -> list[Callout]:
    """What must be known of numbers that the plan did not ask for; nothing where it did."""
    if not report.results.get("exploratory"):
        return []
    said = (
        f"The plan is not about {report.measurand}: there is no criterion for it, and nothing is adjusted for having "
        "looked at several measurands. A pair is the first prediction and the first reading of a visit."
    )
    if report.results["measurand"]["name"] == _GIVEN:
        meant = "The avatar is made as tall as the person was told to be, so that this says little of the scan."
    else:
        meant = "A person and an avatar may be measured at different heights, so that a bias can be one of definition."
    return [Callout(f"{sentence(report.measurand)} is exploratory", (said, meant, *more), "unsure")]
