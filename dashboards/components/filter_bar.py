"""The filters of a study, above every page that shows pairs. Choosing one changes the address, which makes the page."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from dashboards.filters import ATTRIBUTES, LABELS, OLDEST, Filters
from dashboards.queries import WaitingError
from dashboards.view import View
from reports.wording import group_label
from studies.errors import CalliperError


def filter_bar(view: View) -> html.Details | None:
    """The bar, open where a filter is set; nothing while there is no analysis to filter."""
    try:
        analysis = view.analysis
    except (WaitingError, CalliperError):
        return None
    filters = view.filters
    fields = [
        _choice(name, analysis.attributes[name][1], getattr(filters, name))
        for name in ATTRIBUTES
        if len(analysis.attributes[name][1]) > 1 or getattr(filters, name)
    ]
    fields.append(_ages(filters))
    _, runs = view.queries.about(view.study)
    if runs:
        fields.append(_run(runs, filters.run))
    set_now = filters.said()
    said = "; ".join(set_now) if set_now else "none, everybody is shown"
    clear = [
        html.Button("Clear all filters", type="button", id="clear-filters", className="tool", n_clicks=0)
    ] if set_now or filters.run else []  # fmt: skip
    return html.Details(
        [
            html.Summary([html.Strong("Filters"), html.Span(said, className="small")]),
            html.Div([*fields, *clear], className="fields"),
        ],
        className="filters", open=bool(set_now), id="filters",
    )  # fmt: skip


def _choice(name: str, values: list[str], chosen: tuple[str, ...]) -> html.Div:
    key = {"type": "filter", "name": name}
    options = [{"label": group_label(value, name if name == "sex" else ""), "value": value} for value in values]
    options += [{"label": value, "value": value} for value in chosen if value not in values]
    return _field(
        LABELS[name],
        dcc.Dropdown(
            id=key, options=options, value=list(chosen), multi=True, placeholder="all", searchable=len(values) > 8,
        ),
    )  # fmt: skip


def _ages(filters: Filters) -> html.Fieldset:
    ends = [
        dcc.Input(
            id={"type": "filter", "name": name}, type="number", min=0, max=OLDEST, step=1, debounce=True, value=value,
            placeholder=name,
        )
        for name, value in zip(("from", "to"), filters.age, strict=True)
    ]  # fmt: skip
    labelled = [html.Label([html.Span(word), end]) for word, end in zip(("from", "to"), ends, strict=True)]
    return html.Fieldset([html.Legend("Age (years)"), html.Div(labelled, className="ages")], className="field")


def _run(runs: list[dict[str, Any]], chosen: int | None) -> html.Div:
    options = [
        {"label": f"run {row['run']}: {row['checkpoints'] or 'no checkpoint'}", "value": row["run"]} for row in runs
    ]
    box = dcc.Dropdown(
        id={"type": "filter", "name": "run"}, options=options, value=chosen, placeholder="newest run", searchable=False
    )
    return _field("Checkpoint", box)


def _field(label: str, box: Any) -> html.Div:
    return html.Div(
        [html.Span(label, className="label"), box], className="field", role="group", **{"aria-label": label}
    )
