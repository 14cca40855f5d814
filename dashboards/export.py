"""Everything on a page as a file: tables and charts as CSV at full precision, the results as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import flask
import pandas as pd
from flask import Flask, Response, request
from sqlalchemy import select

from dashboards.access import message, whoever
from dashboards.components.text import records
from dashboards.looks import record_look
from dashboards.pages import PAGES
from dashboards.pages.subject import PHOTOS_FOR
from dashboards.queries import NobodyError, Queries, WaitingError
from dashboards.view import Chart, Folded, Grid, Page, Part, View, split_query
from reports.document import Figure, Section, Table, walk
from reports.results import results_json
from studies.readers import guard_formulas
from studies.registry.audit import record_export
from studies.registry.catalogue import find_study
from studies.registry.reports import find_report
from studies.registry.schema import Photo, Scan, Silhouette, Subject, Visit


def add_exports(server: Flask, queries: Queries) -> None:
    """Put the addresses of the files on the server; the guard is before them as before all others."""
    for page in PAGES:
        server.add_url_rule(
            f"/export{page.template}/<name>.csv",
            endpoint=f"export-{page.slug}",
            view_func=lambda study, name, item="", page=page: _csv(queries, page, study, item, name),
        )
    server.add_url_rule(
        "/export/study/<study>/results.json", view_func=lambda study: _results(queries, study), endpoint="results"
    )


def add_files(server: Flask, queries: Queries) -> None:
    """Put the files of reports, photos and silhouettes on the server."""
    server.add_url_rule(
        "/report/<study>/<int:number>/<name>", endpoint="report-file",
        view_func=lambda study, number, name: _report_file(queries, study, number, name),
    )  # fmt: skip
    server.add_url_rule(
        "/picture/<study>/<subject>/<int:scan>/<kind>/<seen>", endpoint="picture",
        view_func=lambda study, subject, scan, kind, seen: _picture(queries, study, subject, scan, kind, seen),
    )  # fmt: skip


def _report_file(queries: Queries, study: str, number: int, name: str) -> Response | tuple[str, int]:
    with queries.reading() as connection:
        record = find_report(connection, f"{study}/{number}")
    listed = next((file for file in record.files if file["name"] == name), None)
    path = record.folder(queries.registry) / name if listed else None
    if path is None or not path.is_file():
        return message("There is no such file.", f"Report {number} of {study} has no file '{name}' any more.", 404)
    # A report is a page of its own, without scripts; the policy of the server lets it have its own styles.
    return flask.send_file(path.resolve(), as_attachment=False, download_name=f"{study}-{number}-{name}")


def _picture(queries: Queries, study: str, subject: str, scan: int, kind: str, seen: str) -> Response | tuple[str, int]:
    table = {"photo": Photo, "silhouette": Silhouette}.get(kind)
    if table is None:
        return message("There is no such picture.", "It is a photo or a silhouette.", 404)
    if table is Photo and not whoever().may(PHOTOS_FOR):
        return message("Photos are not for you.", f"They are for the role {PHOTOS_FOR}.", 403)
    with queries.reading() as connection:
        query = (
            select(table.sha256, table.media_type)
            .join(Scan, table.scan_id == Scan.id)
            .join(Visit, Scan.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .where(Subject.study_id == find_study(connection, study).id, Subject.code == subject, Scan.id == scan)
            .where(table.view == seen, table.deleted_at.is_(None))
        )
        if table is Photo:  # until a run has processed them, photos lie there that nobody agreed to keep
            query = query.where(Subject.consent == "photos")
        row = connection.execute(query).one_or_none()
    if row is None:
        return message("There is no such picture.", "It may have been deleted, by consent.", 404)
    # The page of the subject has been recorded; who asks for a picture alone is recorded as well.
    queries.registry_write(lambda registry: record_look(registry, study, subject, whoever().name, page="picture"))
    try:
        content = queries.registry.photos.read(row.sha256, row.media_type)
    except FileNotFoundError:
        return message("There is no such picture.", "Its file is not in the workspace any more.", 404)
    return Response(content, mimetype=row.media_type)


def _view(queries: Queries, page: Page, study: str, item: str) -> View:
    query = {key: request.args.getlist(key) for key in request.args}
    filters, options = split_query(query)
    return View(queries, whoever(), flask.g.local, page, study, filters, options, item)


def _csv(queries: Queries, page: Page, study: str, item: str, name: str) -> Response | tuple[str, int]:
    view = _view(queries, page, study, item)
    if not view.account.may(page.role):
        return message("This file is not for you.", f"It is for the role {page.role}.", 403)
    try:
        frame = next((_frame(part) for known, part in _parts(page.build(view)) if known == name), None)
    except WaitingError:
        return message("The analysis is being made.", "Try again in a moment.", 503)
    except NobodyError as error:
        return message(error.what, error.remedy or "", 404)
    if frame is None:
        return message("There is no such table or chart.", f"The page {page.title} has none called '{name}'.", 404)
    if not page.of_item:  # of a subject the look itself is recorded
        _record_export(queries, study, f"{page.slug}/{name}.csv")
    # A spreadsheet would run what begins like a formula.
    text = [column for column in frame if not pd.api.types.is_numeric_dtype(frame[column])]
    frame = frame.assign(**{column: guard_formulas(frame[[column]].astype("str"))[column] for column in text})
    return _file(frame.to_csv(index=False).encode("utf-8-sig"), f"{study}-{name}.csv", "text/csv")


def _results(queries: Queries, study: str) -> Response | tuple[str, int]:
    try:
        view = _view(queries, next(page for page in PAGES if page.measurands), study, "")
        content = results_json(view.selection.results)
    except WaitingError:
        return message("The analysis is being made.", "Try again in a moment.", 503)
    _record_export(queries, study, "results.json")
    return _file(content, f"{study}-results.json", "application/json")


def _record_export(queries: Queries, study: str, name: str) -> None:
    """Note who takes what out of the study. Filters stand in the trail as well, since they may tell of few people."""
    who, query = whoever().name, request.query_string.decode("ascii", "replace")
    queries.registry_write(
        lambda registry: record_export(registry, "page", name, study=study, actor=who, filters=query or None)
    )


def _parts(parts: list[Part]) -> Iterator[tuple[str, Chart | Table]]:
    """What can be exported, by its name; the data of a print figure are the table that follows it."""
    for part in parts:
        if isinstance(part, Chart | Table):
            yield part.id, part
        elif isinstance(part, Section):
            figures: list[str] = []
            for inner in walk([part]):
                if isinstance(inner, Figure):
                    figures.append(inner.id)
                elif isinstance(inner, Table):
                    yield inner.id, inner
                    yield from ((name, inner) for name in figures)
                    figures = []
        elif isinstance(part, Grid | Folded):
            yield from _parts(list(part.parts))


def _frame(part: Chart | Table) -> pd.DataFrame:
    return part.frame if isinstance(part, Chart) else pd.DataFrame(records(part))


def _file(content: bytes, name: str, kind: str) -> Response:
    safe = "".join(c if c.isalnum() or c in "-._" else "-" for c in name)
    headers = {"Content-Disposition": f'attachment; filename="{safe}"'}
    return Response(content, mimetype=kind, headers=headers)
