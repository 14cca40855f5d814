"""`calliper privacy`: what is kept of people, for how long, under which name; shown to them, and erased."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

app = typer.Typer(help="What is kept of people, and how to remove it.", no_args_is_help=True)

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject's code, as the registry has it.")]
InStudy = Annotated[
    str | None, typer.Option("--study", metavar="STUDY", help="Of which study, where several have the code.")
]
Identifier = Annotated[
    bool, typer.Option("--identifier", help="SUBJECT is the site's own identifier; needs the link table and --study.")
]
Reason = Annotated[str, typer.Option(help="Why; it stays in the audit trail and must not name the person.")]


@app.command()
def sweep(
    study: Annotated[str | None, typer.Argument(metavar="STUDY", help="By default every study.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove what must not be there.")] = False,
    contents: Annotated[
        bool, typer.Option("--contents", help="Read every photo, too: its hash, and that it holds no metadata.")
    ] = False,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Prove that nothing is kept that must not be.

    Looks for files that no row holds, photos beyond consent, things past their retention period, what processes that
    died have left, and rows whose file is gone. Ends with 5 when something is left that must not be there.
    """
    from calliper.console import print_json, print_table, remark, waiting
    from reports.ingest_report import write_ingest_report
    from studies.privacy.sweep import KINDS, sweep
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        found = sweep(registry, study=study, delete=delete, contents=contents, redraw=write_ingest_report)
    if as_json:
        print_json(found.as_dict())
    else:
        print(
            f"Looked at {_count(found.files, 'file')}: {_count(found.photos, 'photo')} and "
            f"{_count(found.silhouettes, 'silhouette')} belong to somebody."
        )
        for kind, title in KINDS.items():
            some = [one for one in found.findings if one.kind == kind]
            if not some:
                continue
            removed = sum(one.removed for one in some)
            told = f", {removed:,} removed" if removed else ""
            print(f"\n{title.capitalize()}: {len(some):,}{told}")
            print_table(
                [{"what": one.what, "why": one.reason, "removed": one.removed} for one in some[:_SHOWN]],
                {"what": "what", "why": "why", **({"removed": "removed"} if delete else {})},
            )
            if len(some) > _SHOWN:
                print(f"… and {len(some) - _SHOWN:,} more (all of them with --json)")
        if not found.wrong:
            print("\nNothing is there that must not be.")
    if found.unscrubbed:
        remark(f"\n{found.unscrubbed} Run calliper privacy sweep --delete again when it is done.")
    if found.wrong:
        if not delete and not as_json:
            remark("\nRemove what must not be there with calliper privacy sweep --delete.")
        raise typer.Exit(5)


_SHOWN = 20


@app.command()
def retention(
    study: Annotated[str | None, typer.Argument(metavar="STUDY", help="By default every study.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Erase the subjects whose period is over.")] = False,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Say how long things may be kept, and what is due.

    The periods are those of each study's plan (its key `privacy`).
    Photos, silhouettes and refused rows past their period are removed by calliper privacy sweep --delete.
    """
    from calliper.console import print_json, print_table, waiting
    from reports.ingest_report import write_ingest_report
    from studies.privacy.erase import erase_subject
    from studies.privacy.retention import KINDS, due, schedule
    from studies.registry.catalogue import find_study, list_studies
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        with registry.reading() as connection:
            names = [study] if study else [one["name"] for one in list_studies(connection)]
            studies = [find_study(connection, name) for name in names]
            rows = [{"study": one.name, **row} for one in studies for row in schedule(connection, one)]
            over = [late for one in studies for late in due(connection, one) if late.kept.kind == "subjects"]
        erased = []
        if erase:
            for late in over:
                with _links(registry) as links:
                    done = erase_subject(
                        registry, late.kept.what, study=late.study, links=links, redraw=write_ingest_report,
                        reason=f"the retention period of {late.days:,} days is over",
                    )  # fmt: skip
                erased.append(done.as_dict())
    if as_json:
        print_json({"periods": rows, "erased": erased})
        return
    shown = [
        {
            "study": row["study"], "kind": KINDS[row["kind"]], "days": row["days"], "kept": row["kept"],
            "past": row["past"], "next": row["next"],
        }
        for row in rows
    ]  # fmt: skip
    headings = {"study": "study", "kind": "what", "days": "days", "kept": "kept", "past": "past", "next": "next due"}
    print_table(shown, headings)
    if erased:
        print(f"\nErased {_count(len(erased), 'subject')} whose period is over.")
    elif over:
        print(f"\n{_count(len(over), 'subject')} past the period: --erase erases them.")


@app.command()
def export(
    subject: Subject,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the files.")],
    study: InStudy = None,
    identifier: Identifier = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit trail.")] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write everything held on one person to files.

    A page to read, JSON and CSV for programs, and the pictures that are still kept.
    """
    from calliper.console import print_table, waiting
    from reports.subject_page import render_subject
    from studies.privacy.subject_data import PARTS, write_subject_data
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, _links(registry) as links:
        registry.on_wait = waiting
        code = _code(registry, links, subject, study, identifier)
        data = write_subject_data(
            registry, code, out, study=study, links=links, reason=reason, page=render_subject
        )  # fmt: skip
    print_table([{"what": name.replace("_", " "), "rows": len(data[name])} for name in PARTS])
    print(f"\nTo read: {out / 'subject.html'}\nFor programs: {out / 'subject.json'}")


@app.command()
def erase(
    subject: Subject,
    reason: Reason,
    study: InStudy = None,
    identifier: Identifier = False,
    without_link: Annotated[
        bool, typer.Option("--without-link", help="Leave the link table as it is, where it cannot be reached.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Erase everything held on one person, for good.

    The audit trail keeps that it happened, when, by whom and why, and not who it was. A later ingest passes over the
    person's rows.
    """
    from calliper.console import print_json, print_table, remark, waiting
    from reports.ingest_report import write_ingest_report
    from studies.privacy.erase import erase_subject
    from studies.privacy.people import find_person, held_rows
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, _links(registry) as links:
        registry.on_wait = waiting
        code = _code(registry, links, subject, study, identifier)
        if not yes:
            with registry.reading() as connection:
                person = find_person(connection, code, study)
                counts = {name: len(rows) for name, rows in held_rows(connection, person).items() if rows}
            remark(f"On '{code}' of the study '{person.study}' there is: {_listed(counts)}.")
            if not typer.confirm("Erase all of it, for good?", err=True):
                remark("Nothing was erased.")
                raise typer.Exit(2)
        done = erase_subject(
            registry, code, reason=reason, study=study, links=links, redraw=write_ingest_report,
            without_link=without_link,
        )  # fmt: skip
    if as_json:
        print_json(done.as_dict())
    else:
        print(f"Erased; this is erasure {done.number} of the study '{done.study}'.\n")
        print_table([{"what": name.replace("_", " "), "removed": count} for name, count in done.counts.items()])
        if done.reports:
            print(f"\nReports made with the person, which stay as they are: {_numbers(done.reports)}.")
        if done.without_inputs:
            print(f"Their inputs are gone, and they cannot be recomputed: {_numbers(done.without_inputs)}.")
        if not done.left:
            print("\nLooked through every file of the workspace: nothing of the person is left there.")
        remark(
            "Beyond the workspace: delete the person from the source files, backups and copies, too. "
            "Archives and exports that left the workspace are not reached."
        )
    for place in done.left:
        remark(f"Left, to be looked at: {place}")
    if done.unscrubbed:
        remark(f"{done.unscrubbed} Run calliper privacy sweep --delete when it is done.")
    if done.left or done.unscrubbed:
        raise typer.Exit(5)


@app.command()
def readmit(
    subject: Subject,
    study: Annotated[str, typer.Option("--study", metavar="STUDY", help="The study the person was erased from.")],
    reason: Reason,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Let somebody erased by mistake come in again.

    Their rows come in with the next ingest of the sources.
    """
    from studies.privacy.erase import readmit
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        number = readmit(registry, subject, study=study, reason=reason)
    print(f"Erasure {number} of '{study}' no longer keeps this person out. Ingest the sources again.")


@app.command()
def erasures(
    study: Annotated[str | None, typer.Argument(metavar="STUDY", help="By default every study.")] = None,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """List erasures: when, by whom, why; nobody can tell of whom."""
    from calliper.console import print_json, print_table
    from studies.registry.catalogue import find_study
    from studies.registry.erasures import erasures_of
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, registry.reading() as connection:
        if study is not None:
            find_study(connection, study)
        rows = erasures_of(connection, study)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("Nobody was erased.")
    print_table(
        [
            {
                "study": row["study"], "number": row["number"], "when": f"{row['erased_at']:%Y-%m-%d %H:%M}",
                "by": row["erased_by"], "reason": row["reason"], "rows": sum(row["counts"].values()),
            }
            for row in rows
        ]
    )  # fmt: skip


@app.command()
def relink(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="A pseudonym; with --identifier, an identifier.")],
    study: Annotated[str, typer.Option("--study", metavar="STUDY", help="The study of the subject.")],
    reason: Annotated[str, typer.Option(help="Why it must be known; it stays in the audit trail.")],
    identifier: Annotated[
        bool, typer.Option("--identifier", help="Look up the pseudonym of the site's own identifier.")
    ] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Look up whom a pseudonym stands for; this is audited.

    CALLIPER_LINKS names the link table, which lies apart from the registry.
    """
    from calliper.console import waiting
    from studies.privacy.links import needs_links
    from studies.privacy.relink import pseudonym_of, relink
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, _links(registry) as links:
        registry.on_wait = waiting
        if links is None:
            raise needs_links(study)
        look_up = pseudonym_of if identifier else relink
        print(look_up(registry, links, subject, study=study, reason=reason))


@app.command("new-key")
def new_key() -> None:
    """Print a fresh key for CALLIPER_PHOTO_KEY."""
    from studies.photo_keys import new_key

    print(new_key())


@app.command("rotate-key")
def rotate_key(
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Without CALLIPER_PHOTO_KEY: store files plain.")] = False,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Encrypt all kept photos and silhouettes with the current key.

    CALLIPER_PHOTO_KEY is the key to write with; CALLIPER_PHOTO_OLD_KEYS, separated by commas, has those to read with.
    """
    from calliper.console import TerminalProgress, print_json, waiting
    from studies.errors import PlanError
    from studies.photo_keys import KEY_VARIABLE, OLD_KEYS_VARIABLE
    from studies.privacy.rotation import rotate_key
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        if registry.photos.keys.current is None and not decrypt:
            raise PlanError(
                f"{KEY_VARIABLE} is not set, so that files would be stored plain.",
                remedy=f"Set it to the new key, and {OLD_KEYS_VARIABLE} to the old one; or say --decrypt.",
            )
        if registry.photos.keys.current is not None and decrypt:
            raise PlanError(
                f"{KEY_VARIABLE} is set, and --decrypt says that files are to be stored plain.",
                remedy=f"Move the key to {OLD_KEYS_VARIABLE} and unset {KEY_VARIABLE}.",
            )
        done = rotate_key(registry, progress=TerminalProgress())
    if as_json:
        print_json(done.as_dict())
        return
    state = f"encrypted with key {done.key}" if done.key else "stored plain"
    print(f"{_count(done.rewritten, 'file')} written anew, {done.unchanged:,} as they were; all are {state}.")
    if done.missing:
        print(f"{_count(done.missing, 'file')} missing: see calliper privacy sweep.")


# Helpers --------------------------------------------------------------------------------------------------------------


def _links(registry: Any) -> Any:
    """The link table of the registry as a context; None in it where none is named."""
    from contextlib import nullcontext

    from studies.privacy.links import open_links
    from studies.registry.identity import identity_of

    with registry.reading() as connection:
        identity = identity_of(connection)
    return open_links(registry.folder, identity) or nullcontext(None)


def _code(registry: Any, links: Any, subject: str, study: str | None, identifier: bool) -> str:
    """The code in the registry of the subject that is meant."""
    from studies.errors import UsageError
    from studies.privacy.links import needs_links
    from studies.privacy.relink import pseudonym_of

    if not identifier:
        return subject
    if study is None:
        raise UsageError("An identifier belongs to a study.", remedy="Name it with --study, too.")
    if links is None:
        raise needs_links(study)
    return pseudonym_of(registry, links, subject, study=study, reason="to find the person whose data are meant")


def _count(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number:,} {thing}s"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} ({count:,})" for name, count in counts.items())


def _numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
