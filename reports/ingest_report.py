"""The ingest report: what came in, what was refused and how to mend it, for the person who prepares the files."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reports.document import (
    Badge,
    Block,
    Callout,
    Code,
    Column,
    Document,
    Facts,
    Inline,
    Inlines,
    Link,
    List,
    Paragraph,
    Ref,
    Row,
    Section,
    Strong,
    Table,
    Tone,
    Value,
    pointer,
)
from reports.files import write_files
from reports.results import results_json
from reports.wording import ABSENT, count, listed, number, plural, sentence

_STATES: dict[str, Tone] = {"ingested": "good", "unchanged": "neutral", "refused": "bad", "dry run": "unsure"}
_KINDS = {"csv": "CSV", "excel": "Excel", "parquet": "Parquet", "xpt": "SAS XPT", "redcap": "REDCap"}


def write_ingest_report(report: Mapping[str, Any], out_dir: Path | str) -> dict[str, Path]:
    """Write ingest.html and ingest.json into `out_dir`, each whole or not at all. Path by format.

    Links to the quarantine's CSV files are relative, so the folder can be moved as a whole. Raises `StorageError`.
    """
    from reports.html import render_html

    folder = Path(out_dir)
    contents = {
        "html": (folder / "ingest.html", render_html(ingest_document(report)).encode("utf-8")),
        "json": (folder / "ingest.json", results_json(report)),
    }
    write_files(dict(contents.values()))
    return {kind: path for kind, (path, _) in contents.items()}


def ingest_document(report: Mapping[str, Any]) -> Document:
    """The ingest report as a document. `report` is the dict that an ingest gives (ingest.json)."""
    sections = [_summary(report), _files(report)]
    for part in (_refused(report), _flagged(report), _changes(report)):
        if part is not None:
            sections.append(part)
    sections.append(_rules(report))
    batch = report.get("batch")
    title = (
        f"Trial ingest into {report['study']}"
        if report.get("dry_run") or batch is None
        else f"Ingest {count(batch)} into {report['study']}"
    )
    return Document(
        title=title,
        kind="Ingest report",
        facts=_facts(report),
        banner=_banner(report),
        footer=f"Calliper {(report.get('calliper') or {}).get('version', '')} · mapping {_mapping(report)}",
        sections=tuple(sections),
        keywords=("ingest", "data quality"),
    )


def _banner(report: Mapping[str, Any]) -> str:
    """What every page must say: that nothing was kept, that people are synthetic, that photos are rendered."""
    trial = ["Trial only: nothing was kept."] if report.get("dry_run") else []
    return " ".join([*trial, *(str(note) for note in report.get("provenance") or [])])


def _mapping(report: Mapping[str, Any]) -> str:
    return str((report.get("mapping") or {}).get("name") or "unknown")


def _facts(report: Mapping[str, Any]) -> Facts:
    status = str(report.get("status") or "unknown")
    items: list[tuple[str, Inlines]] = [("Status", Badge(status, _STATES.get(status, "neutral")))]
    items.append(("Study", str(report["study"])))
    mapping = report.get("mapping") or {}
    hashed: tuple[Inline, ...] = (" (", Code(str(mapping["hash"])[:12]), ")") if mapping.get("hash") else ()
    items.append(("Mapping", (_mapping(report), *hashed)))
    if report.get("actor"):
        items.append(("By", str(report["actor"])))
    if report.get("started"):
        items.append(("Started", _moment(str(report["started"]))))
    if report.get("seconds") is not None:
        items.append(("Took", f"{number(report['seconds'], 1)} s"))
    return Facts(tuple(items))


def _moment(text: str) -> str:
    """A time stamp as a person reads it; text that is none stays as it is."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = " UTC" if moment.utcoffset() == dt.timedelta(0) else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def _count(report: Mapping[str, Any], *path: str | int) -> Value:
    found: Any = report
    for step in path:
        found = found[step]
    return Value(count(found), pointer(*path), found)


# Summary --------------------------------------------------------------------------------------------------------------


def _summary(report: Mapping[str, Any]) -> Section:
    blocks: list[Block | Section] = [Paragraph(_headline(report), lead=True)]
    files = (report.get("quarantine") or {}).get("files") or []
    if _rows(report, "quarantine"):
        blocks.append(Callout("What to do", _steps(report, files), "unsure"))
    elif _rows(report, "flagged"):
        told = ("Every row went in. Some look unlikely; please check them in ", Ref("table-flagged"), ".")
        blocks.append(Callout("Worth a look", (told,), "neutral"))
    elif _read(report):
        blocks.append(Callout("Nothing to mend", ("Every row that was read passed every check.",), "good"))
    notes = [str(note) for note in report.get("notes") or []]
    if notes:
        blocks.append(Callout("Please note", tuple(notes), "neutral"))
    blocks.append(_tables(report))
    return Section("summary", "At a glance", tuple(blocks))


def _rows(report: Mapping[str, Any], part: str) -> int:
    return int((report.get(part) or {}).get("rows") or 0)


def _read(report: Mapping[str, Any]) -> int:
    return sum(int(table.get("read") or 0) for table in (report.get("tables") or {}).values())


def _headline(report: Mapping[str, Any]) -> tuple[Inline, ...]:
    tables = report.get("tables") or {}
    new = {name: int(table.get("new") or 0) for name, table in tables.items()}
    came = listed(plural(n, name.removesuffix("s")) for name, n in new.items() if n)
    changed = sum(int(table.get("changed") or 0) for table in tables.values())
    refused, flagged = _rows(report, "quarantine"), _rows(report, "flagged")
    out: list[Inline] = []
    trial = bool(report.get("dry_run"))
    if report.get("status") == "refused":
        out.append("Nothing was taken in. ")
    elif came:
        new_word = "would be new" if trial else "are new" if sum(new.values()) != 1 else "is new"
        out.append(f"{came} {new_word}")
        out.append(f", and {_changed(changed, trial)}. " if changed else ". ")
    elif changed:
        out.append(f"{sentence(_changed(changed, trial))}; nothing is new. ")
    else:
        out.append("Nothing is new: everything in these files was in the study already. " if _read(report) else
                   "The files held no rows for the study. ")  # fmt: skip
    if refused:
        out += [
            Strong(f"{plural(refused, 'row')} {'was' if refused == 1 else 'were'} refused"),
            f" and {'waits' if refused == 1 else 'wait'} in quarantine, with what is wrong and how to mend it.",
        ]
    else:
        out.append("No row was refused.")
    if flagged:
        out.append(f" {plural(flagged, 'row')} went in but {'looks' if flagged == 1 else 'look'} unlikely.")
    return tuple(out)


def _changed(n: int, trial: bool) -> str:
    verb = "would replace earlier values" if trial else "replaced earlier values"
    return f"{plural(n, 'row')} {verb}"


def _steps(report: Mapping[str, Any], files: Sequence[str]) -> tuple[Inlines, ...]:
    steps: list[Inlines] = []
    if files:
        links: list[Inline] = []
        for position, file in enumerate(files):
            links += [", "] if position else []
            links.append(Link(file.rsplit("/", 1)[-1], quote(str(file))))
        each = "file holds" if len(files) == 1 else "files hold"
        steps.append((f"The quarantine {each} the refused rows with their reasons: ", *links, "."))
    worst = _most_common(report)
    if worst:
        one = "The check that failed: " if len(worst) == 1 else "The checks that failed most often: "
        steps.append((one, *_joined(worst), "."))
    examples = (report.get("quarantine") or {}).get("examples") or []
    follow = sum(_follows(example) for example in examples)
    if follow:
        some = "At least " if sum(1 for _ in examples) < _failures(report) else ""
        waits = "row only waits" if follow == 1 else "rows only wait"
        steps.append(f"{some}{count(follow)} {waits} for a subject whose own row was refused: mend the subject first.")
    steps.append(
        "Mend the rows, there or in the source, and ingest the file again. Rows that are in already stay as they are, "
        "so nothing can come in twice."
    )
    return tuple(steps)


def _follows(example: Mapping[str, Any]) -> bool:
    """Was this row refused only because another row, that of its subject, was?"""
    return "was itself refused" in str(example.get("reason") or "")


def _most_common(report: Mapping[str, Any], most: int = 3) -> list[tuple[Inline, ...]]:
    examples = (report.get("quarantine") or {}).get("examples") or []
    follow = Counter(str(example["rule"]) for example in examples if _follows(example))
    failed = {
        _requirement(rule): int(rule["failed"]) - follow[rule["rule"]]
        for rule in report.get("rules") or []
        if rule.get("severity") == "reject" and rule.get("failed")
    }
    worst = sorted(((n, what) for what, n in failed.items() if n > 0), key=lambda item: (-item[0], item[1]))
    return [(f"“{what}” (", Strong(plural(n, "row")), ")") for n, what in worst[:most]]


def _failures(report: Mapping[str, Any]) -> int:
    return sum(int(rule.get("failed") or 0) for rule in report.get("rules") or [] if rule.get("severity") == "reject")


def _joined(parts: Sequence[tuple[Inline, ...]]) -> list[Inline]:
    out: list[Inline] = []
    for position, part in enumerate(parts):
        out += ["; "] if position else []
        out += part
    return out


def _requirement(rule: Mapping[str, Any]) -> str:
    """A rule's description as what must hold: "age is between 0 and 120"."""
    return str(rule.get("description") or rule["rule"]).rstrip(".")


def _tables(report: Mapping[str, Any]) -> Table:
    keys = ("read", "new", "changed", "unchanged", "rejected", "flagged")
    rows = []
    for name, table in (report.get("tables") or {}).items():
        if not any(table.values()):
            continue
        cells = [_count(report, "tables", name, key) if key in table else ABSENT for key in keys]
        rows.append(Row((sentence(name), *cells)))
    return Table(
        "table-tables",
        "What the files held, and what became of it.",
        (
            Column("", width=1.2),
            Column("Read", "right"),
            Column("New", "right"),
            Column("Changed", "right"),
            Column("As before", "right"),
            Column("Refused", "right"),
            Column("Flagged", "right"),
        ),
        tuple(rows),
        notes=("Read = new + changed + as before + refused. Flagged rows went in and are counted there as well.",)
        if _adds_up(report)
        else ("Rows may serve more than one table, so a row can be counted more than once.",),
    )


def _adds_up(report: Mapping[str, Any]) -> bool:
    parts = ("new", "changed", "unchanged", "rejected")
    return all(
        table["read"] == sum(int(table.get(part) or 0) for part in parts)
        for table in (report.get("tables") or {}).values()
        if table.get("read") is not None
    )


# Files ----------------------------------------------------------------------------------------------------------------


def _files(report: Mapping[str, Any]) -> Section:
    sources = report.get("sources") or []
    if not sources:
        return Section("files", "Files", (Paragraph("No file was read."),))
    rows = []
    for position, source in enumerate(sources):
        used = [str(name) for name in source.get("used_as") or []]
        format_ = _KINDS.get(str(source.get("format")), str(source.get("format") or ABSENT))
        encoding = f", {source['encoding']}" if source.get("encoding") else ""
        rows.append(
            Row(
                (
                    Code(str(source["file"])),
                    f"{format_}{encoding}",
                    _size(source.get("bytes")),
                    _count(report, "sources", position, "rows") if source.get("rows") is not None else ABSENT,
                    _count(report, "sources", position, "columns") if source.get("columns") is not None else ABSENT,
                    listed(used) if used else Badge("not used", "neutral"),
                    Code(str(source.get("sha256") or "")[:12]),
                )
            )
        )
    table = Table(
        "table-files",
        "The files, as they were read.",
        (
            Column("File", width=2.0),
            Column("Format", width=1.2),
            Column("Size", "right"),
            Column("Rows", "right"),
            Column("Columns", "right"),
            Column("Used for", width=1.4),
            Column("SHA-256 begins", width=1.4),
        ),
        tuple(rows),
    )
    blocks: list[Block | Section] = [table]
    left = [
        (Code(str(source["file"])), f": {_reason(item['reason'])}: {plural(item['n'], 'row')}.")
        for source in sources
        for item in source.get("rows_not_selected") or []
        if item.get("n")
    ]
    if left:
        blocks.append(
            Section(
                "not-selected",
                "Rows that the mapping leaves out",
                (Paragraph("These rows are not errors: the mapping does not ask for them."), List(tuple(left))),
            )
        )
    unused = [
        (Code(str(source["file"])), ": ", *_codes(source["unused_columns"]))
        for source in sources
        if source.get("unused_columns")
    ]
    if unused:
        text = "These columns were not used. If one of them matters, name it in the mapping."
        blocks.append(Section("unused", "Columns that were not used", (Paragraph(text), List(tuple(unused)))))
    return Section("files", "Files", tuple(blocks))


def _codes(names: Sequence[Any], most: int = 60) -> list[Inline]:
    out: list[Inline] = []
    for position, name in enumerate(names[:most]):
        out += [", "] if position else []
        out.append(Code(str(name)))
    return [*out, f" and {count(len(names) - most)} more"] if len(names) > most else out


def _size(size: int | None) -> str:
    if size is None:
        return ABSENT
    for unit, factor, places in (("GB", 1e9, 1), ("MB", 1e6, 1), ("kB", 1e3, 0)):
        if size >= factor:
            return f"{number(size / factor, places)} {unit}"
    return plural(size, "byte")


def _reason(text: Any) -> str:
    return str(text).rstrip(".")


# Rows -----------------------------------------------------------------------------------------------------------------


def _refused(report: Mapping[str, Any]) -> Section | None:
    rows = _rows(report, "quarantine")
    if not rows:
        return None
    shown = report["quarantine"].get("examples") or []
    table = _examples(report, shown, "table-quarantine", "Refused rows, by the check that they failed.")
    who = "This row is" if rows == 1 else f"These {plural(rows, 'row')} are"
    text: list[Inline] = [f"{who} not in the study. A row that failed several checks is listed under each of them."]
    return Section("quarantine", "Refused rows", (Paragraph(tuple(text)), *([table] if shown else [])))


def _flagged(report: Mapping[str, Any]) -> Section | None:
    rows = _rows(report, "flagged")
    if not rows:
        return None
    shown = report["flagged"].get("examples") or []
    who = "This row is" if rows == 1 else f"These {plural(rows, 'row')} are"
    text = f"{who} in the study. Please check them against the source; analyses say how many flagged values they use."
    table = _examples(report, shown, "table-flagged", "Rows that went in but look unlikely, by check.")
    return Section("flagged", "Flagged rows", (Paragraph(text), *([table] if shown else [])))


def _examples(report: Mapping[str, Any], examples: Sequence[Mapping[str, Any]], name: str, caption: str) -> Table:
    """Examples under a heading for each check, the commonest first, in the order of file and row."""
    rules = {rule["rule"]: rule for rule in report.get("rules") or []}
    groups: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
    for example in examples:
        groups.setdefault((_follows(example), str(example["rule"])), []).append(example)
    rows = []
    for (follows, rule), mine in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1])):
        about = rules.get(rule)
        must = "Rows that only wait for their subject" if follows else f"Check: {_requirement(about or {'rule': rule})}"
        rows.append(Row(((f"{must} · {plural(len(mine), 'row')}",),), kind="group"))
        for example, lines in _alike(mine):
            value = example.get("value")
            rows.append(
                Row(
                    (
                        Code(str(example.get("file") or ABSENT)),
                        _ranges(lines) or ABSENT,
                        Code(str(example["column"])) if example.get("column") else ABSENT,
                        ABSENT if value is None else "(empty)" if str(value) == "" else Code(_cut(str(value))),
                        sentence(str(example.get("reason") or "")),
                        str(example.get("remedy") or ""),
                    )
                )
            )
    return Table(
        name,
        caption,
        (
            Column("File", width=1.4),
            Column("Row", "right", width=0.8),
            Column("Column", width=1.1),
            Column("Value", width=1.1),
            Column("What is wrong", width=2.0),
            Column("What to do", width=2.4),
        ),
        tuple(rows),
        row_headers=False,
    )


def _alike(examples: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[int]]]:
    """Examples that say the same of several rows, once, with the rows; in the order in which each is first met."""
    found: dict[tuple[Any, ...], tuple[Mapping[str, Any], list[int]]] = {}
    for example in examples:
        key = tuple(str(example.get(name)) for name in ("file", "column", "value", "reason", "remedy"))
        lines = found.setdefault(key, (example, []))[1]
        if isinstance(example.get("row"), int):
            lines.append(example["row"])
    return list(found.values())


def _ranges(rows: Sequence[int]) -> str:
    """Row numbers as a person writes them.

    >>> _ranges([59, 60, 61, 1070, 72])
    '59–61, 72, 1,070'
    """
    runs: list[list[int]] = []
    for row in sorted(set(rows)):
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return ", ".join(count(a) if a == b else f"{count(a)}–{count(b)}" for a, b in runs)


def _cut(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _changes(report: Mapping[str, Any]) -> Section | None:
    changes = report.get("changes") or []
    if not changes:
        return None
    rows = tuple(
        Row(
            (
                str(change.get("subject_id") or ABSENT),
                str(change.get("table") or ""),
                str(change.get("what") or ""),
                _old_or_new(change.get("old")),
                _old_or_new(change.get("new")),
            )
        )
        for change in changes
    )
    table = Table(
        "table-changes",
        "Values that this ingest replaced.",
        (
            Column("Subject"),
            Column("Table"),
            Column("What", width=1.6),
            Column("Before"),
            Column("Now"),
        ),
        rows,
    )
    text = "The audit trail keeps the earlier values."
    return Section("changes", "Changed values", (Paragraph(text), table))


def _old_or_new(value: Any) -> Inline:
    return ABSENT if value is None or value == "" else Code(_cut(str(value)))


def _rules(report: Mapping[str, Any]) -> Section:
    rules = report.get("rules") or []
    if not rules:
        return Section("rules", "Checks", (Paragraph("No check was made: there were no rows to check."),))
    failed = sum(1 for rule in rules if rule.get("failed"))
    text = f"{plural(len(rules), 'check')} {'was' if len(rules) == 1 else 'were'} made; " + (
        f"{failed} found something." if failed else "none found anything."
    )
    rows: list[Row] = []
    tables: dict[str, list[int]] = {}
    for position, rule in enumerate(rules):
        tables.setdefault(str(rule.get("table") or ""), []).append(position)
    for table, positions in tables.items():
        rows.append(Row(((sentence(table),),), kind="group"))
        for position in positions:
            rule = rules[position]
            broken = int(rule.get("failed") or 0)
            reject = rule.get("severity") == "reject"
            badge = (
                Badge("passed", "good")
                if not broken
                else Badge(f"{count(broken)} {'refused' if reject else 'flagged'}", "bad" if reject else "unsure")
            )
            checked = _count(report, "rules", position, "checked") if rule.get("checked") is not None else ABSENT
            rows.append(
                Row((sentence(_requirement(rule)), checked, badge, str(rule.get("remedy") or "") if broken else ""))
            )
    return Section(
        "rules",
        "Checks",
        (
            Paragraph(text),
            Table(
                "table-rules",
                "Every check, how many rows it looked at, and what it found.",
                (
                    Column("What must hold", width=2.4),
                    Column("Rows", "right", width=0.8),
                    Column("Found", width=1.0),
                    Column("What to do", width=2.2),
                ),
                tuple(rows),
            ),
        ),
    )
