"""`calliper run`: checkpoints applied to a study's scans."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, StudyName, Workspace

_SHOWN = 10


class Engine(StrEnum):
    local = "local"
    dask = "dask"


def run(
    study: StudyName,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint", "-c", metavar="NAME@VERSION|ALIAS",
            help="A checkpoint; may be given for each kind. Those not named are the ones with the alias 'current'.",
        ),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="Worker processes of this machine, or a Dask cluster.")] = Engine.local,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster (tcp://HOST:8786); else one is started.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many to start; by default one for each core.")
    ] = None,
    scan_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=1, help="How long a scan may take; tried twice, it is then indeterminate."
        ),
    ] = 300.0,
    new: Annotated[bool, typer.Option("--new", help="Begin another run, even where one can be gone on with.")] = False,
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for another writer.")] = 300.0,
    show: Annotated[bool, typer.Option("--list", help="Show the study's runs, and run nothing.")] = False,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:  # fmt: skip
    """Predict every scan of a study; scans that cannot be predicted are indeterminate, with the reason.

    Interrupted, however it was, it goes on from there when it is called again; called again when it is done, it looks
    at the scans that have come since. After a scan is processed its photos are deleted, unless the subject's consent
    says that they, or silhouettes of them, are kept.
    """
    from calliper.console import TerminalProgress, print_json, remark, waiting
    from studies.errors import UsageError
    from studies.registry.catalogue import find_study
    from studies.registry.leakage import notes_of_run
    from studies.registry.workspace import open_registry
    from studies.runs.executor import make_executor
    from studies.runs.models import choose_checkpoints, models_of
    from studies.runs.run import InterruptedRun
    from studies.runs.run import run as run_scans

    if scheduler is not None and engine is not Engine.dask:
        raise UsageError("--scheduler goes with --engine dask.")
    with open_registry(workspace) as registry:
        if show:
            _list_runs(registry, study, as_json)
            return
        registry.wait_seconds, registry.on_wait = wait, waiting
        _check_study(registry, study)
        chosen = choose_checkpoints(registry, checkpoint or [])
        models, source = models_of(chosen)
        executor = make_executor(engine.value, source, workers or cores(), scheduler, scan_timeout)
        try:
            result = run_scans(registry, study, models, executor, new=new, progress=TerminalProgress())
        except InterruptedRun as interruption:
            remark(_how_to_go_on(interruption.result))
            raise
        with registry.reading() as connection:
            leaks = notes_of_run(connection, find_study(connection, study), result.number)
    used = {kind: record.reference for kind, record in chosen.items()}
    if as_json:
        print_json({**result.to_dict(), "checkpoints": used, "notes": leaks})
        return
    print_result(result, used, leaks)


def cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _check_study(registry: Any, study: str) -> None:
    from studies.errors import DataError
    from studies.registry.catalogue import find_study
    from studies.registry.provenance import count_scans

    with registry.reading() as connection:
        if not connection.execute(count_scans(find_study(connection, study).id)).scalar_one():
            raise DataError(
                f"The study '{study}' has no scans.",
                remedy=f"Ingest some (calliper ingest {study} SOURCE), or render them from its subjects' measurements "
                f"(calliper cohort render {study}).",
            )


def _list_runs(registry: Any, name: str, as_json: bool) -> None:
    from calliper.console import print_json, print_table
    from studies.registry.catalogue import find_study
    from studies.runs.listing import list_runs

    with registry.reading() as connection:
        listed = list_runs(registry, connection, find_study(connection, name))
    if as_json:
        print_json(listed)
    elif listed:
        print_table(listed)
    else:
        print(f"No run yet. Make one: calliper run {name}")


def _how_to_go_on(result: Any) -> str:
    done = sum(result.outcomes.values())
    return (
        f"Run {result.number} of '{result.study}' has {done:,} of {done + result.remaining:,} scans, and keeps them. "
        "The same command goes on from there."
    )


def print_result(result: Any, used: dict[str, str], leaks: list[str]) -> None:
    from calliper.console import print_table

    print(f"Run {result.number} of '{result.study}'{' (gone on with)' if result.continued else ''}")
    print(f"{', '.join(f'{kind} {reference}' for kind, reference in used.items())}\n")
    total = sum(result.outcomes.values())
    rows = [
        {"scans": status, "n": n, "%": round(100 * n / total, 1) if total else None}
        for status, n in result.outcomes.items()
    ]
    print_table([*rows, {"scans": "all", "n": total, "%": 100.0 if total else None}])
    for entry in result.reasons[:_SHOWN]:
        print(f"  {entry['n']:,} {entry['status']}: {entry['reason']}.")
    if len(result.reasons) > _SHOWN:
        print(f"  ... and {len(result.reasons) - _SHOWN:,} more reasons; --json has them.")
    if result.remaining:
        print(f"\n{result.remaining:,} scans changed meanwhile and have no outcome yet. Run again.")
    if not sum(result.done.outcomes.values()):
        print("\nNothing was to do: every scan that can be reached has its outcome already.")
    else:
        print(f"\n{_pace(result)}")
    if result.done.photos_deleted:
        kept = result.done.silhouettes_kept
        beside = f"; {kept:,} silhouettes are kept of them" if kept else ""
        print(f"{result.done.photos_deleted:,} photos were deleted after processing, by consent{beside}.")
    for note in leaks:
        print(f"\nNote: {note}")


def _pace(result: Any) -> str:
    workers = f"{result.workers} {result.engine} worker{'s' if result.workers != 1 else ''}"
    text = f"{result.seconds:.1f} s with {workers}, {result.starting:.1f} s of them to start"
    text += f"; then {result.scans_per_second:.1f} scans/s." if result.scans_per_second else "."
    spent = sorted(result.done.seconds.items(), key=lambda item: -item[1])
    if spent and result.looked_at:
        stages = ", ".join(f"{stage} {1000 * seconds / result.looked_at:.0f}" for stage, seconds in spent)
        text += f" Milliseconds a scan: {stages}."
    return text
