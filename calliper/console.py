"""What the command line prints: results to standard output, progress and remarks to standard error.

At a terminal a stage shows a progress bar; elsewhere a stage is silent, so that logs stay readable.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def remark(sentence: str) -> None:
    """Something to know, beside the result."""
    print(sentence, file=sys.stderr)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(rows: Sequence[dict[str, Any]], columns: dict[str, str] | None = None) -> None:
    """A plain table: text to the left, numbers to the right. `columns`: key -> heading."""
    if not rows:
        return
    columns = columns or {key: key.replace("_", " ") for key in rows[0]}
    cells = [[_cell(row.get(key)) for key in columns] for row in rows]
    numeric = [
        all(
            (isinstance(row.get(key), int | float) and not isinstance(row.get(key), bool)) or row.get(key) is None
            for row in rows
        )
        for key in columns
    ]
    widths = [max(len(heading), *(len(line[i]) for line in cells)) for i, heading in enumerate(columns.values())]

    def line(values: Sequence[str]) -> str:
        return "  ".join(
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(values, widths, numeric, strict=True)
        ).rstrip()

    print(line(list(columns.values())))
    print("  ".join("─" * width for width in widths))
    for values in cells:
        print(line(values))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


class TerminalProgress:
    """Progress at a terminal, nothing elsewhere: a bar with percentage and time left, or one that only moves.

    A stage of unknown length is taken off the screen when it is over.
    """

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Any]:
        if not self.shown:
            yield _Quiet()
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = [SpinnerColumn(), TextColumn("{task.description:<19}"), BarColumn(), TimeElapsedColumn()]
        if total is not None:
            columns += [TaskProgressColumn(), TextColumn("left"), TimeRemainingColumn()]
        with Progress(*columns, console=Console(stderr=True), transient=total is None) as bars:
            task = bars.add_task(title, total=total)
            yield _Bar(bars, task)
            bars.update(task, completed=total)  # totals can be estimates


class _Quiet:
    def advance(self, amount: int = 1) -> None:
        pass


class _Bar:
    def __init__(self, bars: Any, task: Any):
        self._bars, self._task = bars, task

    def advance(self, amount: int = 1) -> None:
        self._bars.advance(self._task, amount)


def waiting() -> None:
    """Told once when another process holds the registry."""
    remark("Another process is writing to this registry; waiting for it to finish ...")
