"""What a page says instead of its content: what is wrong and what to do, or how far the work has come."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from studies.registry.jobs import JobRecord

POLL_MILLISECONDS = 1000
_STAGES = {"": "Waiting for the worker"}


def problem(title: str, text: str, *links: tuple[str, str]) -> html.Div:
    """A message. links: (text, address)."""
    ways = [html.Li(dcc.Link(label, href=href)) for label, href in links]
    return html.Div(
        [html.H2(title), html.P(text), *([html.Ul(ways)] if ways else [])], className="problem", role="status"
    )


def progress(job: JobRecord, what: str) -> html.Div:
    """How far a job has come; looks again by itself, and loads the page again once it is done."""
    return html.Div(
        [
            html.Div(
                progress_of(job, what), id={"type": "job", "id": job.id}, role="status", **{"aria-live": "polite"}
            ),
            *([dcc.Interval(id={"type": "job-poll", "id": job.id}, interval=POLL_MILLISECONDS)] if job.active else []),
            dcc.Store(id={"type": "job-what", "id": job.id}, data=what),
        ],
        className="problem",
    )


def progress_of(job: JobRecord, what: str) -> list[Any]:
    """The same without what looks again."""
    if job.status == "failed":
        return [html.H2(f"{what} failed"), html.P(job.message, className="callout bad")]
    if job.status == "finished":
        return [html.H2(f"{what} is done"), html.P("This page is loading again.")]
    title = html.H2(f"{what} …")
    stage = job.stage or _STAGES[""]
    share = f"{stage}: {job.done:,} of {job.total:,}" if job.total else stage
    known = {"value": str(job.done), "max": str(job.total)} if job.total else {}
    bar = html.Progress(**known, **{"aria-label": share})
    return [title, bar, html.P(share)]
