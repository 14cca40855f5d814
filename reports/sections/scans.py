"""What became of the scans: how many gave a value, how many did not and why, and what that does to the accuracy."""

from __future__ import annotations

from typing import Any

from reports.bound import Bound, is_hidden
from reports.document import Column, Inline, Paragraph, Row, Section, Table
from reports.wording import estimate_of, number, plural

_SHOWN = 12


def scans(report: Bound) -> Section:
    path = ("sensitivity", "failures")
    found = report.at(path) or {}
    title = "Scans"
    run = report.results.get("run")
    if not found.get("scans"):
        held = (report.results.get("data") or {}).get("scans") or 0
        text = "The study has no scan." if not held else "No run has looked at the scans of this study."
        return Section("scans", title, (Paragraph(text),))
    out: list[Inline] = [f"Run {run['number']} looked at the scans of the study: of " if run else "Of "]
    out += [report.count(*path, "scans"), f" {'scan' if found['scans'] == 1 else 'scans'}, "]
    out += [report.count(*path, "determinate"), " gave a value, "]
    out += [
        report.count(*path, "indeterminate"),
        f" {'was' if found['indeterminate'] == 1 else 'were'} indeterminate and ",
    ]
    out += [report.count(*path, "unreachable"), " could not be reached"]
    left = found["scans"] - sum(found[name] for name in ("determinate", "indeterminate", "unreachable"))
    out.append(f"; {plural(left, 'has', 'have')} not been looked at." if left else ".")
    blocks: list[Any] = [Paragraph(tuple(out))]
    if found["determinate"] == 0:
        blocks.append(Paragraph("Not one scan gave a value, so that nothing can be said of the accuracy of the scan."))
    reasons = found.get("reasons") or []
    if reasons:
        rows = [
            Row((report.words(item["reason"]), report.count(*path, "reasons", position, "n")))
            for position, item in enumerate(reasons[:_SHOWN])
        ]
        more = len(reasons) - _SHOWN
        blocks.append(
            Table(
                "table-indeterminate",
                "Why scans were indeterminate.",
                (Column("Reason", width=4), Column("Scans", "right", width=1)),
                tuple(rows),
                notes=(f"{plural(more, 'further reason')} not listed.",) if more > 0 else (),
            )
        )
    blocks.append(Paragraph(failures_sentence(report)))
    return Section("scans", title, tuple(blocks))


def failures_sentence(report: Bound) -> tuple[Inline, ...]:
    """The share within a tolerance, with subjects of whom no scan gave a value counted as failures."""
    path = ("sensitivity", "failures")
    found = report.at(path) or {}
    if is_hidden(found):
        return ("Too few subjects were scanned to count those of whom no scan gave a value as failures.",)
    if not found.get("n"):
        return (f"Failures could not be counted: {report.words(str(found.get('reason') or 'unknown'))}.",)
    failures, within = found["failures"], found.get("within") or {}
    widest = max(within, key=float)
    item = estimate_of(within[widest])
    if not failures:
        return ("Of every scanned subject with a reference measurement at least one scan gave a value.",)
    out: list[Inline] = ["Counting the ", report.count(*path, "failures")]
    out.append(f" {'subject' if failures == 1 else 'subjects'} of whom no scan gave a value as failures, ")
    out += [report.value(*path, "within", widest, "estimate", places=1), "%"]
    ends = report.ends(*path, "within", widest, places=1)
    out += [f" ({report.level} CI ", *ends, ")"] if ends else []
    out += [" of ", report.count(*path, "n"), f" subjects lay within ±{number(float(widest), 0)} {report.points} of "]
    own = report.at(("tests", report.index, "within", widest, "estimate"))
    out.append(f"{report.reference}")
    if own is not None and item["estimate"] is not None:
        out += [", against ", report.value("tests", report.index, "within", widest, "estimate", places=1),
                "% of those with a value"]  # fmt: skip
    return (*out, ".")
