"""The application: Dash on Flask, put together for one registry."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import dash
import flask
from dash import ALL, MATCH, ClientsideFunction, Dash, Input, Output, State, dcc, html

from dashboards.access import guard, message, whoever
from dashboards.components import chart, text
from dashboards.components.frame import frame, plain
from dashboards.components.problem import problem, progress, progress_of
from dashboards.export import add_exports, add_files
from dashboards.filters import Filters
from dashboards.pages import PAGES
from dashboards.queries import NobodyError, Queries, WaitingError
from dashboards.security import protect
from dashboards.settings import Settings, session_secret
from dashboards.view import Chart, Folded, Grid, Page, Part, View, is_block, split_query
from studies.errors import CalliperError, StorageError
from studies.registry.catalogue import list_studies
from studies.registry.jobs import file_job, job
from studies.registry.workspace import Registry, open_registry

_HERE = Path(__file__).parent
_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
{%css%}
</head>
<body>
<noscript><p>This dashboard needs JavaScript; calliper report makes pages that do not.</p></noscript>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""


def create_app(workspace: Path | str | Registry, settings: Settings | None = None) -> Dash:
    """The dashboard of a workspace; `.server` is the WSGI application.

    Everything that requests share hangs on the application that is returned, so that several can live in one process.
    Raises StorageError where the workspace cannot be opened.
    """
    settings = settings or Settings()
    registry = workspace if isinstance(workspace, Registry) else open_registry(workspace)
    queries = Queries(registry)
    server = flask.Flask("dashboards", root_path=str(_HERE), static_folder=None, template_folder="templates")
    if settings.behind_proxy:
        from werkzeug.middleware.proxy_fix import ProxyFix

        server.wsgi_app = ProxyFix(server.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    guard(server, queries, settings, session_secret(registry.folder))
    app = Dash(
        "dashboards",
        server=server,
        use_pages=True,
        pages_folder="",
        assets_folder=str(_HERE / "assets"),
        serve_locally=True,
        suppress_callback_exceptions=True,
        title="Calliper",
        update_title=None,
        index_string=_INDEX,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    server.extensions["calliper"] = queries
    _register_pages()
    app.layout = html.Div([dash.page_container, dcc.Location(id="address", refresh=False)], id="app")
    _register_callbacks(app)
    add_exports(server, queries)
    add_files(server, queries)
    server.add_url_rule(
        "/study/<study>", endpoint="study", view_func=lambda study: flask.redirect(PAGES[0].path(study))
    )
    server.register_error_handler(500, lambda error: message("Something went wrong.", "It has been logged.", 500))
    protect(server, app.csp_hashes, secure=settings.behind_proxy)
    return app


# Pages ----------------------------------------------------------------------------------------------------------------


def _register_pages() -> None:
    """Tell Dash of the pages. Its registry belongs to the process, so that nothing of one application goes into it."""
    dash.page_registry.clear()
    dash.register_page("home", path="/", title="Calliper", layout=home)
    for place, page in enumerate(PAGES, start=1):
        dash.register_page(
            f"page-{page.slug}",
            path_template=page.template,
            order=place,
            layout=partial(show, page),
            title=partial(_title, page),
        )
    dash.register_page("not_found_404", path="/not-found", title="Not found · Calliper", layout=not_found)


def _title(page: Page, study: str = "", **_: str) -> str:
    return f"{page.title} · {study} · Calliper"


def _queries() -> Queries:
    return flask.current_app.extensions["calliper"]


def home(**_: str) -> html.Div:
    """All studies of the registry."""
    try:
        with _queries().reading() as connection:
            studies = list_studies(connection)
    except CalliperError as error:
        return plain([html.H1("Calliper"), problem(error.what, error.remedy or "")])
    if not studies:
        content = problem(
            "There is no study yet", "calliper study create NAME makes one; calliper demo a whole example."
        )
        return plain([html.H1("Studies"), content], whoever(), local=flask.g.local)
    cards = [
        html.Li(
            dcc.Link(
                [
                    html.Strong(study["title"]),
                    html.Span(study["name"], className="small"),
                    html.Span(
                        f"{study['subjects']:,} subjects, {study['scans']:,} scans, {study['readings']:,} readings"
                    ),
                    html.Span(
                        f"plan version {study['plan_version']}, {'locked' if study['plan_locked'] else 'not locked'}"
                    ),
                ],
                href=PAGES[0].path(study["name"]),
            )
        )
        for study in studies
    ]
    return plain([html.H1("Studies"), html.Ul(cards, className="cards")], whoever(), local=flask.g.local)


def not_found(**_: str) -> html.Div:
    return plain([html.H1("Calliper"), problem("There is no such page", "Check the address.", ("To the studies", "/"))])


def show(page: Page, study: str = "", item: str = "", **query: Any) -> html.Div:
    """A page as a function of its address. What goes wrong is told on the page, in words."""
    study, item = unquote(study), unquote(item)
    try:
        filters, options = split_query(query)
    except CalliperError as error:
        view = View(_queries(), whoever(), flask.g.local, page, study, Filters(), {}, item)
        return _framed(view, [_told(view, error)])
    view = View(_queries(), whoever(), flask.g.local, page, study, filters, options, item)
    return _framed(view, build(view))


def build(view: View) -> list[Any]:
    """The parts of a page as components, or what stands in their way."""
    if not view.account.may(view.page.role):
        text_ = f"This page is for the role {view.page.role}; {view.account.name} is {view.account.role}."
        return [problem("This page is not for you", text_, ("To the overview", PAGES[0].path(view.study)))]
    try:
        return [_component(view, part) for part in view.page.build(view)]
    except WaitingError as waiting:
        return [progress(waiting.job, "The analysis")]
    except CalliperError as error:
        return [_told(view, error)]


def _component(view: View, part: Part) -> Any:
    if isinstance(part, Chart):
        return chart.render(part, view.csv(part.id))
    if isinstance(part, Grid):
        return html.Div([_component(view, inner) for inner in part.parts], className="grid")
    if isinstance(part, Folded):
        inner = [_component(view, inside) for inside in part.parts]
        return html.Details([html.Summary(part.title), *inner], className="folded")
    if is_block(part):
        return text.block(part, csv=view.csv)
    return part


def _told(view: View, error: CalliperError) -> html.Div:
    ways = [("To the studies", "/")]
    if view.filters != Filters():
        ways.insert(0, ("The same page without filters", view.page.path(view.study, view.item)))
    if isinstance(error, StorageError):
        ways = []
    title = "The filters leave too few" if isinstance(error, NobodyError) else "This cannot be shown"
    return problem(title, str(error), *ways)


def _framed(view: View, content: list[Any]) -> html.Div:
    try:
        banner, _ = view.queries.about(view.study)
        return frame(view, PAGES, content, title=view.page.title, banner=banner)
    except CalliperError:
        return plain([html.H1("Calliper"), *content], view.account, local=view.local)


def _with_job(search: str | None, job_: int) -> str:
    """The query of an address with the job that was just asked for, so that the page is made anew; filters stay."""
    kept = [(name, value) for name, value in parse_qsl((search or "").lstrip("?")) if name != "job"]
    return f"?{urlencode([*kept, ('job', job_)])}"


# Callbacks ------------------------------------------------------------------------------------------------------------


def _register_callbacks(app: Dash) -> None:
    """The few callbacks: filters and clicks change the address, which alone makes a page; jobs are looked at again."""
    app.clientside_callback(
        ClientsideFunction("calliper", "applyFilters"),
        Output("_pages_location", "search"),
        Input({"type": "filter", "name": ALL}, "value"),
        State({"type": "filter", "name": ALL}, "id"),
        State("_pages_location", "search"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("calliper", "clearFilters"),
        Output("_pages_location", "search", allow_duplicate=True),
        Input("clear-filters", "n_clicks"),
        State("_pages_location", "search"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("calliper", "openPoint"),
        Output("_pages_location", "href"),
        Input({"type": "chart", "name": ALL}, "clickData"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("calliper", "reloadWhenDone"),
        Output({"type": "job-poll", "id": MATCH}, "disabled"),
        Input({"type": "job", "id": MATCH}, "title"),
        prevent_initial_call=True,
    )

    app.clientside_callback(
        ClientsideFunction("calliper", "chooseFat"),
        Output("_pages_location", "search", allow_duplicate=True),
        Input("avatar-fat", "value"),
        State("avatar-shown", "data"),
        State("_pages_location", "search"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("_pages_location", "href", allow_duplicate=True),
        Input({"type": "make-report", "kind": ALL, "study": ALL, "runs": ALL}, "n_clicks"),
        State("_pages_location", "search"),
        prevent_initial_call=True,
    )
    def make_report(clicks: list[int], search: str | None) -> Any:
        asked = dash.ctx.triggered_id
        if not any(clicks) or not whoever().may("analyst"):
            return dash.no_update
        wanted = {"kind": asked["kind"], "runs": [int(run) for run in asked["runs"].split(",") if run]}
        filed = file_job(_queries().registry, "report", asked["study"], wanted, by=whoever().name)
        return f"/study/{quote(asked['study'], safe='')}/reports{_with_job(search, filed.id)}"

    @app.callback(
        Output("_pages_location", "search", allow_duplicate=True),
        Input({"type": "start-run", "study": ALL}, "n_clicks"),
        State({"type": "run-checkpoint", "kind": ALL}, "value"),
        State("_pages_location", "search"),
        prevent_initial_call=True,
    )
    def start_run(clicks: list[int], checkpoints: list[str | None], search: str | None) -> Any:
        if not any(clicks) or not whoever().may("analyst"):
            return dash.no_update
        wanted = {"checkpoints": [name for name in checkpoints if name]}
        filed = file_job(_queries().registry, "run", dash.ctx.triggered_id["study"], wanted, by=whoever().name)
        return _with_job(search, filed.id)

    @app.callback(
        Output({"type": "job", "id": MATCH}, "children"),
        Output({"type": "job", "id": MATCH}, "title"),
        Input({"type": "job-poll", "id": MATCH}, "n_intervals"),
        State({"type": "job", "id": MATCH}, "id"),
        State({"type": "job-what", "id": MATCH}, "data"),
        prevent_initial_call=True,
    )
    def look_again(_count: int, key: Mapping[str, Any], what: str) -> tuple[list[Any], str]:
        with _queries().reading() as connection:
            found = job(connection, int(key["id"]))
        if found is None:
            return [html.P("This job is no longer known.")], "failed"
        return progress_of(found, str(what)), found.status
