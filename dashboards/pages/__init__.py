"""The pages of a study, in the order of the navigation."""

from __future__ import annotations

from dashboards.pages import agreement, checkpoints, cohort, overview, precision, reports, subgroups, subject, trail
from dashboards.view import Page

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    agreement.PAGE,
    subgroups.PAGE,
    cohort.PAGE,
    checkpoints.PAGE,
    precision.PAGE,
    reports.PAGE,
    trail.PAGE,
    subject.PAGE,
)
