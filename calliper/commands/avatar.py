"""`calliper avatar`: photos, or what a run found in them, become a mesh, its measurements and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

if TYPE_CHECKING:
    from models.avatar.files import Avatar, Shown
    from studies.avatars import StoredAvatar

_VIEW = typer.Option(metavar="FILE", help="The photo of this view, whatever it is called.")
_TOLD = {
    "stature_cm": "stature", "chest_cm": "chest", "waist_cm": "waist", "hip_cm": "hip", "thigh_cm": "mid-thigh",
    "volume_l": "volume",
}  # fmt: skip
_STATURE_M = (1.0, 2.5)
_STATURE_APART_CM = 3.0  # from here on it is pointed out that the avatar is not as tall as the person


def avatar(
    photos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PHOTOS", help="One to four photos, or a folder of them, with front, back, left or right in "
            "their names.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The mesh: body.glb or body.obj.")] = None,
    stature: Annotated[
        str | None, typer.Option(metavar="METRES", help="How tall the person is: 1.75, or 175cm.")
    ] = None,
    sex: Annotated[str | None, typer.Option(metavar="F|M", help="If known: helps the body fat.")] = None,
    age: Annotated[float | None, typer.Option(metavar="YEARS", min=18, max=110, help="If known.")] = None,
    weight: Annotated[float | None, typer.Option(metavar="KG", min=20, max=400, help="If known.")] = None,
    front: Annotated[Path | None, _VIEW] = None,
    back: Annotated[Path | None, _VIEW] = None,
    left: Annotated[Path | None, _VIEW] = None,
    right: Annotated[Path | None, _VIEW] = None,
    body_fat: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Show the same person at this body fat.")
    ] = None,
    from_body_fat: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="With --body-fat: the body fat now, instead of the estimated one."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The picture; by default beside the mesh, .png.")
    ] = None,
    measurements: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The measurements; by default beside the mesh, .json.")
    ] = None,
    rendered: Annotated[
        bool, typer.Option("--rendered", help="Say in every file that the photos are rendered, not taken.")
    ] = False,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint", "-c", metavar="NAME@VERSION|ALIAS|FILE",
            help="A checkpoint; may be given for each kind. Those not named are the ones with the alias 'current'.",
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Instead of photos: an avatar that a run of this study found.")
    ] = None,
    scan: Annotated[
        str | None, typer.Option(metavar="SUBJECT[/VISIT[/SCAN]]", help="With --study: of which scan.")
    ] = None,
    run: Annotated[int | None, typer.Option(metavar="RUN", min=1, help="With --study: of which run; else the "
                                            "newest that is finished.")] = None,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:  # fmt: skip
    """Make a personal avatar: a mesh that any viewer opens, its measurements as JSON, and a picture.

    Of photos and a stature; or, with --study and --scan, of a scan that a run has looked at, which goes into the audit
    trail as an export. Photos are read where they are: they leave this machine for nowhere, and no copy is kept.
    """
    from models.avatar.files import contents, shown
    from models.body import open_body
    from reports.files import write_files
    from studies.errors import UsageError

    if out is None:
        raise UsageError("It is not said where the mesh goes.", remedy="Give --out body.glb, or --out body.obj.")
    if body_fat is None and from_body_fat is not None:
        raise UsageError("--from-body-fat goes with --body-fat.")
    if sex not in (None, "F", "M"):
        raise UsageError(f"--sex is F or M, not '{sex}'.", remedy="Leave it out where it is not known.")
    paths = out, measurements or out.with_suffix(".json"), picture or out.with_suffix(".png")
    if len({path.absolute() for path in paths}) < len(paths):
        raise UsageError("Mesh, measurements and picture need different names.")
    views = {name: path for name, path in zip(("front", "back", "left", "right"), (front, back, left, right),
                                              strict=True) if path is not None}  # fmt: skip
    stored = None
    if study is not None or scan is not None:
        if study is None or scan is None:
            raise UsageError("--study STUDY and --scan SUBJECT go together.", remedy="Give both, or photos.")
        if photos or views or stature or checkpoint or age is not None or rendered:
            raise UsageError("An avatar of a study is made of what a run found.", remedy="Leave photos and what is "
                             "said of them out: --stature, --age, --checkpoint, --rendered.")  # fmt: skip
        found, stored = _of_study(workspace, study, scan, run, sex, weight)
    else:
        if run is not None:
            raise UsageError("--run goes with --study.")
        given = {"stature_cm": stature_cm(stature), "sex": sex, "age": age, "weight_kg": weight}
        found = _of_photos(photos or [], views, given, checkpoint or [], workspace, rendered)
    found = _with_body_fat(found, from_body_fat)
    what = shown(found, open_body(), body_fat)
    made = contents(what, *paths)
    if stored is None:
        write_files(made)
    else:
        _export(workspace, stored, made, body_fat)
    _tell(what, paths, as_json)


def stature_cm(text: str | None) -> float:
    """A stature as people write it. Raises UsageError, saying what was probably meant."""
    import re

    from studies.errors import UsageError

    if text is None:
        raise UsageError(
            "The stature is not given: photos alone do not say how large anything in them is.",
            remedy="Give it in metres, as in --stature 1.75.",
        )
    parts = re.fullmatch(r"\s*(\d+(?:[.,]\d+)?)\s*(m|cm)?\s*", text, re.IGNORECASE)
    if parts is None:
        raise UsageError(f"'{text}' is no stature.", remedy="Give it in metres, as in --stature 1.75, or as 175cm.")
    value, unit = float(parts[1].replace(",", ".")), (parts[2] or "").lower()
    low, high = _STATURE_M
    if not unit and 100 * low <= value <= 100 * high:
        raise UsageError(
            f"A stature of {value:g} m is no person's; {value:g} looks like centimetres.",
            remedy=f"Write --stature {value / 100:g}, or --stature {value:g}cm.",
        )
    metres = value / 100 if unit == "cm" else value
    if not low <= metres <= high:
        inches = f" {value:g} feet would be {value * 0.3048:.2f} m." if not unit and 3 < value < 8.2 else ""
        raise UsageError(f"A stature of {metres:g} m is no adult's.{inches}", remedy="Give it in metres: 1.75.")
    return metres * 100


def _of_photos(
    photos: list[Path],
    views: dict[str, Path],
    given: dict[str, Any],
    references: list[str],
    workspace: Path,
    rendered: bool,
) -> Avatar:
    """Segmenter, avatar and, where there is one, estimator, on one thread, as in a run."""
    import os

    from models.avatar.files import Avatar, BodyFat
    from models.avatar.photos import read_photos, views_of
    from studies.avatars import choose_checkpoints
    from studies.errors import DataError, UsageError
    from studies.runs.worker import THREADS, keep_memory, one_thread
    from studies.version import VERSION

    if not photos and not views:
        raise UsageError("No photo is given.", remedy="Name photos or a folder of them, or a --study and a --scan.")
    files = views_of(photos, views)
    chosen = choose_checkpoints(workspace, references)
    os.environ.update(THREADS)  # before numba is imported, which reads it once
    keep_memory()
    from models.inference import Pipeline, ScanInput
    from models.inference.quality import explain

    pipeline = Pipeline.load({kind: record.path for kind, record in chosen.items()})
    one_thread()
    outcome = pipeline.process([ScanInput("photos", read_photos(files), **given)])[0]
    if outcome.indeterminate is not None or outcome.betas is None:
        reason = outcome.indeterminate or explain(list(outcome.quality)) or "the silhouettes fit no body"
        raise DataError(f"No avatar can be made of these photos: {reason}.",
                        remedy="Take them again as docs/avatars.md says.")  # fmt: skip
    fat = outcome.predictions.get("body_fat_percent")
    return Avatar(
        betas=_array(outcome.betas),
        rendered=rendered,
        body_fat=None if fat is None else BodyFat(fat.value, "estimator", fat.low, fat.high),
        given=given,
        checkpoints={
            kind: {"name": record.reference, "sha256": record.card.weights_sha256} for kind, record in chosen.items()
        },
        software={"calliper": VERSION, **pipeline.software},
        views=tuple(outcome.pose or {}),
        quality=tuple(
            {"view": finding.view, "reason": finding.reason, "detail": finding.detail} for finding in outcome.quality
        ),
    )


def _of_study(
    workspace: Path, study: str, scan: str, run: int | None, sex: str | None, weight: float | None
) -> tuple[Avatar, StoredAvatar]:
    from models.avatar.files import Avatar, BodyFat
    from studies.avatars import stored_avatar
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        stored = stored_avatar(registry, study, scan, run=run)
    fat = stored.predictions.get("body_fat_percent")
    given = {"sex": sex or stored.sex, "weight_kg": stored.weight_kg if weight is None else weight}
    found = Avatar(
        betas=_array(stored.betas),
        rendered=stored.rendered,
        body_fat=None if fat is None else BodyFat(fat[0], "estimator", *fat[1:]),
        given=given,
        checkpoints=stored.checkpoints,
        software=stored.software,
        views=stored.views,
        quality=stored.quality,
        origin={"study": stored.study, "run": stored.run, "scan": stored.key},
    )
    return found, stored


def _export(workspace: Path, stored: StoredAvatar, made: dict[Path, bytes], body_fat: float | None) -> None:
    """Write the files and note them in the audit trail: both, or neither."""
    import hashlib

    from calliper.console import waiting
    from reports.files import write_files
    from studies.avatars import note_export
    from studies.registry.workspace import open_registry

    files = [{"name": path.name, "sha256": hashlib.sha256(data).hexdigest()} for path, data in made.items()]
    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        with registry.writing() as connection:
            note_export(connection, stored, files, body_fat)
            write_files(made)


def _array(betas: list[float]) -> Any:
    import numpy as np

    return np.array(betas, np.float64)


def _with_body_fat(avatar: Avatar, percent: float | None) -> Avatar:
    from dataclasses import replace

    from models.avatar.files import BodyFat

    return avatar if percent is None else replace(avatar, body_fat=BodyFat(percent, "given"))


def _tell(what: Shown, paths: tuple[Path, ...], as_json: bool) -> None:
    from calliper.console import print_json, print_table, remark

    document = what.document()
    for sentence in _remarks(what, document):
        remark(sentence)
    if as_json:
        names = ("mesh", "measurements", "picture")
        print_json({**document, "files": {name: str(path) for name, path in zip(names, paths, strict=True)}})
        return
    rows = [
        {"measurement": label, "value": f"{document['measurements'][name]['value']:.1f}",
         "unit": document["measurements"][name]["unit"]}
        for name, label in _TOLD.items()
    ]  # fmt: skip
    fat = document["body_fat_percent"]
    if fat is not None:
        between = f"{fat['low']:.1f} to {fat['high']:.1f} with 90 % probability" if "low" in fat else None
        how = between or {"given": "given", "morph": "as asked for"}.get(fat["source"])
        rows.append({"measurement": "body fat", "value": f"{fat['value']:.1f}", "unit": "%", "note": how})
    if (morph := document["morph"]) is not None:
        before = f"{morph['from']['weight_kg']:.1f} kg at {morph['from']['body_fat_percent']:.1f} %"
        rows.append({"measurement": "mass", "value": f"{morph['to']['weight_kg']:.1f}", "unit": "kg",
                     "note": f"before: {before}; fat-free mass {morph['fat_free_mass_kg']:.1f} kg"})  # fmt: skip
    columns = {key: key for key in ("measurement", "value", "unit", "note") if any(row.get(key) for row in rows)}
    print_table([{**row, "note": row.get("note") or ""} for row in rows], columns)
    print(f"\nMesh          {paths[0]}\nMeasurements  {paths[1]}\nPicture       {paths[2]}")


def _remarks(what: Shown, document: dict[str, Any]) -> list[str]:
    """What one must know of an avatar: rendered photos, faults of photos, doubts."""
    from models.inference.quality import explain
    from models.inference.scan import Finding

    said = [document["notice"]] if "notice" in document else []
    findings = [Finding(each["reason"], each["view"], each["detail"]) for each in document["quality"]]
    if findings:
        said.append(f"Photos: {explain(findings)}. The avatar is made of: {', '.join(document['views'])}.")
    asked, tall = document["given"].get("stature_cm"), document["measurements"]["stature_cm"]["value"]
    if asked is not None and abs(tall - asked) >= _STATURE_APART_CM:
        said.append(f"The avatar is {tall:.1f} cm tall, not {asked:.1f} cm as given: check stature and photos.")
    if what.morpher is not None:
        share = what.morpher.unexplained_l / what.morpher.start.volume_l
        if abs(share) >= 0.05:
            more = "more" if share > 0 else "less"
            said.append(
                f"The avatar has {abs(100 * share):.0f} % {more} volume than a person of this mass and body fat: mass, "
                "body fat or avatar are off. Only the difference between before and after can be relied on."
            )
    return said
