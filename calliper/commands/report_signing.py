"""`calliper report sign | verify | bundle | list | key`: what becomes of reports after they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="Number of the report, or STUDY/NUMBER.")]
Study = Annotated[str | None, typer.Option("--study", metavar="STUDY", help="Study of the report.")]
_Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", envvar="CALLIPER_PASSPHRASE_FILE",
        help="File whose first line is the passphrase of the key; by default it is asked for.",
    ),
]  # fmt: skip

key_app = typer.Typer(help="Keys that reports are signed with.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put these commands below `calliper report`."""
    app.command("list")(list_)
    app.command("sign")(sign)
    app.command("verify")(verify)
    app.command("bundle")(bundle)
    app.add_typer(key_app, name="key")


def list_(study: Study = None, as_json: AsJson = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Every report: number, kind, author, signatures, and whether its results can be recomputed."""
    from calliper.console import print_json, print_table
    from reports.listing import listed_reports
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, registry.reading() as connection:
        rows = listed_reports(connection, study)
    if as_json:
        print_json(rows)
    elif rows:
        print_table([{**row, "SHA-256": row["SHA-256"][:16]} for row in rows])
    else:
        print("There is no report yet. Make one: calliper report STUDY")


def sign(
    number: Number,
    role: Annotated[str, typer.Option(metavar="TEXT", help="What the signer is in the study.")],
    meaning: Annotated[str, typer.Option(metavar="MEANING", help="author, reviewer or approver.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it is signed.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who signs; with --key it is the owner of the key.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="CALLIPER_SIGNING_KEY", help="The signer's private key, once registered."),
    ] = None,
    passphrase_file: _Passphrase = None,
    study: Study = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Sign a report; the signature sheet comes beside it, and its own files stay as they are.

    With --key the signature is the signer's own (Ed25519). Without, it is made with a key of the workspace, which shows
    that nothing was changed since, and not who signed.
    """
    from calliper.console import remark
    from reports.signer_keys import open_key, short_fingerprint
    from reports.signing import sign_report
    from studies.registry.workspace import open_registry

    opened = open_key(key, _passphrase(passphrase_file)) if key else None
    with open_registry(workspace) as registry:
        made, sheets = sign_report(
            registry, number, study=study, name=name, role=role, meaning=meaning, reason=reason, key=opened
        )
    said = made.statement
    report = f"{said['report']['study']}/{said['report']['number']}"
    print(f"{said['signer']['name']} has signed report {report} as {meaning}, signature {made.number}.")
    print(f"Report SHA-256: {said['report']['sha256']}")
    if made.key:
        print(f"Key:            {short_fingerprint(made.key['fingerprint'])}")
    for path in sheets:
        print(f"{path.suffix[1:].upper():<5} {path}")
    if not made.key:
        remark(
            "Signed with the workspace's key: it shows that nothing was changed since, not who signed. For that, make "
            "a key with calliper report key create, and sign with --key."
        )


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A report's HTML, PDF or results.json, a signature sheet, a bundle.")
    ],
    recompute: Annotated[
        bool, typer.Option("--recompute/--no-recompute", help="Compute the results anew and compare them.")
    ] = True,
    results: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results that were computed anew here.")
    ] = None,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Check a file: is it as it was registered, who signed it, and do its results come out again, byte for byte?

    A bundle is checked by itself where there is no workspace. Exit code 3 where something is not as it should be.
    """
    from calliper.console import TerminalProgress, print_json, remark
    from reports.files import write_atomically
    from reports.verification import note_verification
    from reports.verification import verify as verify_file
    from studies.errors import StorageError

    progress = TerminalProgress()
    with _registry_if_there(workspace) as registry:
        found = verify_file(file, registry, recompute=recompute, progress=progress)
        if registry is not None:
            try:
                note_verification(registry, found)
            except StorageError as error:
                remark(f"The verification is not noted in the audit trail: {error.what}")
    if results is not None and found.results is not None:
        write_atomically(results, found.results)
    if as_json:
        print_json(found.to_dict())
    else:
        marks = {"good": "✓", "bad": "✗", "note": "·"}
        print(f"{file}: {'NOT verified' if found.failed else 'verified'}")
        for finding in found.findings:
            print(f"  {marks[finding.state]} {finding.what}")
    if found.failed:
        raise typer.Exit(3)


def bundle(
    number: Number,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The zip file to write.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse where fewer people than the plan's minimum cell are alike.")
    ] = False,
    study: Study = None,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write all that is needed to check and recompute a report elsewhere, de-identified, as one zip file."""
    from calliper.console import TerminalProgress, print_json, remark
    from reports.archive import bundle_report
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        made = bundle_report(registry, number, out, study=study, strict=strict, progress=TerminalProgress())
    if as_json:
        print_json(
            {"file": str(made.path), "sha256": made.sha256, "files": made.files, "bytes": made.size, "risk": made.risk}
        )
    else:
        print(f"Bundle:  {made.path} ({made.files} files, {made.size:,} bytes)")
        print(f"SHA-256: {made.sha256}")
        print("Its results were computed from it once: they are those of the report, byte for byte.")
    for sentence in made.remarks:
        remark(sentence)


@key_app.command()
def create(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the private key.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is.")],
    passphrase_file: _Passphrase = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Make a key for signing and register its public part. The private part is in FILE alone, under a passphrase."""
    from reports.signer_keys import make_key, register_key, short_fingerprint, write_public_key
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        public = make_key(file, _passphrase(passphrase_file, twice=True))
        beside = write_public_key(public, file.with_name(f"{file.name}.pub"))
        made = register_key(registry, name, public)
    print(f"Private key: {file} (keep it; nobody can replace it)")
    print(f"Public key:  {beside}, registered as that of {made.name}")
    print(f"Fingerprint: {short_fingerprint(made.fingerprint)}")


@key_app.command()
def register(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A public key (PEM).")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Register a public key as a person's. Compare the fingerprint with what that person says."""
    from reports.signer_keys import read_public_key, register_key, short_fingerprint
    from studies.registry.workspace import open_registry

    public = read_public_key(file)
    with open_registry(workspace) as registry:
        made = register_key(registry, name, public)
    print(f"Registered as the key of {made.name}: {short_fingerprint(made.fingerprint)}")


@key_app.command()
def revoke(
    fingerprint: Annotated[str, typer.Argument(metavar="FINGERPRINT", help="The key's fingerprint, or its beginning.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Let a key sign no more. What it has signed stays, with a remark."""
    from reports.signer_keys import revoke_key
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        made = revoke_key(registry, fingerprint, reason=reason)
    print(f"The key of {made.name} signs no more.")


@key_app.command("list")
def list_keys_(as_json: AsJson = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Every registered key."""
    from calliper.console import print_json, print_table
    from reports.signer_keys import list_keys, short_fingerprint
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, registry.reading() as connection:
        keys = list_keys(connection)
    rows = [
        {
            "name": key.name, "fingerprint": key.fingerprint if as_json else short_fingerprint(key.fingerprint),
            "registered": f"{key.registered_at:%Y-%m-%d}", "by": key.registered_by,
            "revoked": f"{key.revoked_at:%Y-%m-%d}" if key.revoked_at else None,
        }
        for key in keys
    ]  # fmt: skip
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows)
    else:
        print("No key is registered. Make one: calliper report key create FILE --name NAME")


def _passphrase(file: Path | None, *, twice: bool = False) -> str:
    """From the file, else asked for at the terminal, else the first line of standard input."""
    import sys

    from studies.errors import UsageError

    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The passphrase cannot be read: {error}.", where=str(file)) from None
        return lines[0] if lines else ""
    if sys.stdin.isatty():
        return typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice)
    return sys.stdin.readline().rstrip("\n")


def _registry_if_there(workspace: Path) -> Any:
    """The registry, or nothing where there is none: a bundle needs none."""
    import os
    from contextlib import nullcontext

    from studies.registry.workspace import URL_VARIABLE, open_registry

    there = (workspace / "registry.db").is_file() or (workspace.is_dir() and os.environ.get(URL_VARIABLE))
    if not there and workspace == DEFAULT_WORKSPACE:
        return nullcontext(None)
    return open_registry(workspace)
