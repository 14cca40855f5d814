"""Reports: a document model, its figures, and the writers of HTML, PDF and JSON.

`reports.validation_report.validation_report` gives the report as a document; it is not named here, where a function
would hide behind the module of the same name.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "Document": "reports.document",
    "ingest_document": "reports.ingest_report",
    "write_ingest_report": "reports.ingest_report",
    "write_report": "reports.validation_report",
    "results_json": "reports.results",
    "write_html": "reports.html",
    "write_pdf": "reports.pdf",
}

__all__ = [
    "Document",
    "ingest_document",
    "results_json",
    "write_html",
    "write_ingest_report",
    "write_pdf",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'reports' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
