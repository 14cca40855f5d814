"""What a page is: a function of a view (who asks, which study, which filters) that gives its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from dashboards.analyses import Analysis
from dashboards.components.chart import Chart
from dashboards.filters import NAMES, Filters, address
from dashboards.queries import Queries, Selection
from reports.bound import Bound
from reports.document import Block, Section
from studies.registry.users import Account

Part = Any
"""A `Chart`, a block of the document model, or a component of Dash."""


@dataclass(frozen=True)
class Grid:
    """Parts beside each other where there is room."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Folded:
    """Parts that are shown when asked for."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class View:
    """One request for a page. options: what stands in the address beside the filters, such as the method."""

    queries: Queries
    account: Account
    local: bool
    page: Page
    study: str
    filters: Filters
    options: Mapping[str, str] = field(default_factory=dict)
    item: str = ""

    @cached_property
    def selection(self) -> Selection:
        chosen = replace(self.filters, measurand=self.measurand)
        return self.queries.selection(self.study, chosen, lines=self.options.get("lines") == "all")

    @property
    def measurand(self) -> str:
        """What this page looks at: a measurand beside the plan's, or "" for the plan's own."""
        return self.filters.measurand if self.page.measurands else ""

    @property
    def analysis(self) -> Analysis:
        """The analysis behind the page, of everybody."""
        return self.queries.analysis(self.study, self.filters.run, self.measurand)

    @cached_property
    def report(self) -> Bound:
        """The results with their labels, as the reports use them; charts have the pairs from the selection itself."""
        return Bound(self.selection.results, self.selection.analysis.pairs.head(0))

    def option(self, name: str, known: list[str], usual: str) -> str:
        """The value of an option; `usual` where it is not given or not known."""
        value = self.options.get(name, usual)
        return value if value in known else usual

    def here(self, **options: str) -> str:
        """The address of this page with some options changed; "" takes one away."""
        filters = replace(self.filters, measurand=options.pop("measurand", self.filters.measurand))
        return address(self.page.path(self.study, self.item), filters, {**self.options, **options})

    def csv(self, name: str) -> str:
        """Where a table's or chart's data can be had."""
        path = f"/export{self.page.path(self.study, self.item)}/{name}.csv"
        return address(path, self.filters, self.options)


@dataclass(frozen=True)
class Page:
    """One page. `build` gives its parts in reading order. role: the least that may see it. measurands: whether it shows
    others than the plan's."""

    slug: str
    title: str
    build: Callable[[View], list[Part]]
    role: str = "viewer"
    filtered: bool = True
    linked: bool = True
    of_item: bool = False
    measurands: bool = False

    def path(self, study: str, item: str = "") -> str:
        parts = ["study", study, self.slug, *([item] if self.of_item else [])]
        return "/" + "/".join(quote(part, safe="") for part in parts)

    @property
    def template(self) -> str:
        return f"/study/<study>/{self.slug}" + ("/<item>" if self.of_item else "")


def split_query(query: Mapping[str, Any]) -> tuple[Filters, dict[str, str]]:
    """Filters and options of an address."""
    options = {
        key: str(value[0] if isinstance(value, list | tuple) else value)
        for key, value in query.items()
        if key not in NAMES and value
    }
    return Filters.from_query(query), options


def is_block(part: Part) -> bool:
    return isinstance(part, Block | Section)


__all__ = ["Chart", "Folded", "Grid", "Page", "Part", "View", "is_block", "split_query"]
