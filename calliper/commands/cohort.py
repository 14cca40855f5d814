"""`calliper cohort`: synthetic people, and photos rendered from measurements."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

if TYPE_CHECKING:
    from studies.rendering.people import Refusal

app = typer.Typer(help="Cohorts of synthetic people, and photos rendered from measurements.", no_args_is_help=True)
_SHOWN = 8

Seed = Annotated[int, typer.Option(help="The same seed gives the same bytes.")]
Height = Annotated[int, typer.Option(metavar="PIXELS", help="Height of the photos.")]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Processes at work; by default one a core. The result is the same.")
]
Share = typer.Option(min=0.0, max=1.0, metavar="SHARE")


@app.command()
def synthesize(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the cohort.")],
    subjects: Annotated[int, typer.Option(metavar="N", help="How many people.")] = 134,
    seed: Seed = 0,
    photos: Annotated[bool, typer.Option("--photos/--no-photos", help="With or without scans.")] = True,
    height: Height = 640,
    follow_up: Annotated[float, Share] = 0.3,
    duplicates: Annotated[float, Share] = 0.2,
    replicates: Annotated[float, Share] = 0.25,
    faulty: Annotated[float, Share] = 0.06,
    sites: Annotated[int, typer.Option(metavar="N", help="How many sites, each with its own instruments.")] = 2,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Draw people who do not exist, with readings like those of NHANES 1999-2000 and with photos rendered of them.

    Shares: --follow-up of the people come twice, --duplicates are read twice by DXA and by scale, --replicates of the
    visits have a second scan, --faulty of the scans a photo that is no good. The folder is ready for calliper ingest;
    what it does not read, in truth/, says what the people truly are and which photos are no good.
    """
    from calliper.console import TerminalProgress, print_json
    from studies.rendering.blocks import Recipe
    from studies.rendering.cohort import synthesize_cohort

    done = synthesize_cohort(
        out, subjects, Recipe(seed, height), photos=photos, follow_up=follow_up, duplicates=duplicates,
        replicates=replicates, faulty=faulty, sites=sites, workers=workers, progress=TerminalProgress(),
    )  # fmt: skip
    if as_json:
        print_json(done.as_dict())
        return
    print(f"{done.subjects:,} synthetic people, {done.readings:,} readings", end="")
    print(f", {done.scans:,} scans with {done.photos:,} rendered photos: {out}" if photos else f": {out}")
    _tell(done.refused, done.flagged)
    print(f"\nNext: calliper ingest STUDY {out}")


@app.command()
def render(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Name of a registered study.")] = None,
    subjects: Annotated[
        int | None, typer.Option(metavar="N", help="So many people of the study, chosen by the seed; by default all.")
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of the study, only the subjects that this text file lists, one a line."),
    ] = None,
    unseen_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME@VERSION|ALIAS",
            help="Of the study, only subjects who are not in the training data of this checkpoint, or of any that have "
            "this alias (as 'current'). May be given again.",
        ),
    ] = None,
    with_reference: Annotated[
        bool,
        typer.Option("--with-reference", help="Of the study, only subjects whom the plan's reference has measured."),
    ] = False,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of a study: a table of people, with --out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="With --table: a new folder for the cohort.")] = None,
    mapping: Annotated[
        str | None,
        typer.Option("--mapping", "-m", metavar="NAME|FILE", help="With --table: what its columns are."),
    ] = None,
    reference: Annotated[
        str, typer.Option(metavar="METHOD", help="With --table: the method whose readings no body may show.")
    ] = "dxa",
    seed: Seed = 0,
    height: Height = 640,
    workers: Workers = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for another writer.")] = 300.0,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Give people scans that are rendered from their own measurements: four views of a body that has them.

    Sex, age, stature and mass are needed; girths and skinfolds are used where they were measured, body composition and
    the readings of the reference method never. The scans of a STUDY go into the registry like any others, marked as
    rendered; a second call adds only what is missing. Those of --table go into the new folder --out.
    """
    from studies.errors import UsageError
    from studies.rendering.blocks import Recipe

    if (study is None) == (table is None):
        raise UsageError("Say of whom: name a STUDY, or give a table with --table.", remedy="Give one of the two.")
    if (table is None) != (out is None):
        raise UsageError("--table FILE and --out DIR go together.", remedy="Give both, or name a STUDY.")
    recipe = Recipe(seed, height)
    if table is not None and out is not None:
        given = {"--subjects": subjects, "--only": only, "--unseen-by": unseen_by, "--with-reference": with_reference}
        if wrong := [name for name, value in given.items() if value]:
            everyone = "Leave it out: all people of the table are rendered."
            raise UsageError(f"{wrong[0]} is for a STUDY.", remedy=everyone)
        _render_table(table, out, recipe, mapping, reference, workers, as_json)
    elif study is not None:
        if mapping is not None:
            raise UsageError("--mapping is for --table.", remedy="Leave it out.")
        whom = (subjects, only, unseen_by or [], with_reference)
        _render_study(study, recipe, whom, workers, wait, as_json, workspace)


def _render_table(table, out, recipe, mapping, reference, workers, as_json) -> None:
    from calliper.console import TerminalProgress, print_json
    from studies.ingest.mapping import load_mapping
    from studies.rendering.cohort import render_table

    chosen = load_mapping(mapping) if mapping else None
    done = render_table(
        table, out, recipe, mapping=chosen, reference=reference, workers=workers, progress=TerminalProgress()
    )
    if as_json:
        print_json(done.as_dict())
        return
    print(f"{done.scans:,} scans with {done.photos:,} rendered photos: {out}")
    _tell(done.refused, done.flagged)
    print(f"\nNext: calliper ingest STUDY {out}")


def _render_study(study, recipe, whom, workers, wait, as_json, workspace) -> None:
    from calliper.console import TerminalProgress, print_json, waiting
    from reports.ingest_report import write_ingest_report
    from studies.registry.checkpoints import resolve_each
    from studies.registry.workspace import open_registry
    from studies.rendering.among import Among, read_names
    from studies.rendering.study import render_study

    subjects, only, unseen_by, with_reference = whom
    named = None if only is None else read_names(only)
    with open_registry(workspace) as registry:
        registry.wait_seconds, registry.on_wait = wait, waiting
        cards = tuple(found.card for name in unseen_by for found in resolve_each(registry, name).values())
        among = Among(named, cards, with_reference)
        done = render_study(
            registry, study, recipe, among=among, subjects=subjects, workers=workers, progress=TerminalProgress(),
            on_batch=lambda result: write_ingest_report(result.report, result.folder),
        )  # fmt: skip
    if as_json:
        print_json(done.as_dict())
        return
    if done.scans:
        listed = ", ".join(f"{number}" for number in done.batches)
        word = "ingest" if len(done.batches) == 1 else "ingests"
        print(f"{len(done.rendered):,} people of '{study}' have {done.scans:,} new rendered scans with {done.photos:,} "
              f"photos ({word} {listed}).")  # fmt: skip
    else:
        print("Nothing to render: everyone asked for who can have a rendered scan has one." if done.before else
              f"No one in '{study}' can be rendered.")  # fmt: skip
    if done.before:
        print(f"{len(done.before):,} people had theirs before.")
    _tell(done.refused, done.flagged)


def _tell(refused: list[Refusal], flagged: list[Refusal]) -> None:
    """Who has no scan, or a doubtful body, by reason, the most common first."""
    from calliper.console import print_table

    for title, told in (("Not rendered", refused), ("Rendered, but doubtful", flagged)):
        if not told:
            continue
        print(f"\n{title}: {len({one.subject_id for one in told}):,} people")
        # Without the numbers in brackets, which are everyone's own.
        alike = sorted({(re.sub(r" \([^)]*\)", "", one.reason), one.subject_id) for one in told})
        reasons, example = Counter(reason for reason, _ in alike), dict(reversed(alike))
        rows = [
            {"people": count, "reason": reason, "for example": example[reason]}
            for reason, count in reasons.most_common(_SHOWN)
        ]
        print_table(rows)
        if len(reasons) > _SHOWN:
            print(f"... and {len(reasons) - _SHOWN:,} more reasons; --json lists everyone.")


@app.command()
def sheet(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a cohort with photos.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The picture, a PNG.")] = Path("sheet.png"),
    scans: Annotated[int, typer.Option(metavar="N", help="How many scans, evenly picked.")] = 8,
) -> None:
    """Put some scans of a cohort on one picture, all views of each in a row."""
    from studies.rendering.sheet import write_sheet

    shown = write_sheet(folder, out, scans=scans)
    print(f"{shown} scans: {out}")
