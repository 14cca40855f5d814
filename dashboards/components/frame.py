"""What stands around every page: the study, the ways to the other pages, who is signed in, and what all must know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from flask_wtf.csrf import generate_csrf

from dashboards.components.filter_bar import filter_bar
from dashboards.filters import address
from dashboards.view import Page, View
from studies.version import VERSION


def frame(view: View, pages: Sequence[Page], content: list[Any], *, title: str, banner: str = "") -> html.Div:
    """A page of a study with everything around it."""
    bar = filter_bar(view) if view.page.filtered else None
    return html.Div(
        [
            html.A("Skip to the content", href="#content", className="skip"),
            *([html.P(banner, className="banner", role="note")] if banner else []),
            _header(view, pages),
            html.Main([html.H1(title), *([bar] if bar is not None else []), *content], id="content", tabIndex=-1),
            footer(),
        ],
        className="frame",
    )


def plain(content: list[Any], account: Any = None, *, local: bool = False) -> html.Div:
    """A page that belongs to no study."""
    return html.Div(
        [
            html.A("Skip to the content", href="#content", className="skip"),
            html.Header(html.Div([_brand(), _who(account, local)], className="bar"), className="top"),
            html.Main(content, id="content", tabIndex=-1),
            footer(),
        ],
        className="frame",
    )


def _brand() -> dcc.Link:
    return dcc.Link(
        [html.Img(src="/assets/icon.svg", alt="", width=26, height=26), "Calliper"], href="/", className="brand"
    )


def _header(view: View, pages: Sequence[Page]) -> html.Header:
    links = []
    for page in pages:
        if not page.linked or not view.account.may(page.role):
            continue
        current = {"aria-current": "page"} if page is view.page else {}
        # dcc.Link takes no aria attributes, so that the list item tells which page this is.
        link = dcc.Link(page.title, href=address(page.path(view.study), view.filters))
        links.append(html.Li(link, className="current" if current else None, **current))
    return html.Header(
        [
            html.Div(
                [_brand(), html.Span(view.study, className="study"), _who(view.account, view.local)], className="bar"
            ),
            html.Nav(html.Ul(links), **{"aria-label": "Pages of the study"}),
        ],
        className="top",
    )


def _who(account: Any, local: bool) -> html.Div:
    theme = html.Button("Light or dark", type="button", className="tool", id="theme", **{"data-theme-switch": "yes"})
    if local:
        told = html.Span(
            "Local demo: no account exists, so whoever is at this machine sees everything.",
            className="local",
            role="note",
        )
        return html.Div([told, theme], className="who")
    if account is None:
        return html.Div([theme], className="who")
    form = html.Form(
        [
            dcc.Input(type="hidden", name="csrf_token", value=generate_csrf()),
            html.Button("Sign out", type="submit", className="tool"),
        ],
        action="/sign-out", method="POST",
    )  # fmt: skip
    return html.Div([html.Span(f"{account.display_name} ({account.role})"), theme, form], className="who")


def footer() -> html.Footer:
    return html.Footer(
        html.P(f"Calliper {VERSION}. Differences are index − reference, in percentage points for body fat.")
    )
