"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_WORKSPACE = Path("calliper-workspace")

Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", envvar="CALLIPER_WORKSPACE", metavar="DIR",
        help="Folder of the registry; CALLIPER_DATABASE_URL puts its database on PostgreSQL.",
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.")]
