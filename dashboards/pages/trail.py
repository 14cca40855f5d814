"""Audit: the trail of every change, sign-in and look at a subject, and whether it is whole."""

from __future__ import annotations

import json
import re
from typing import Any

from dashboards.components.text import whole
from dashboards.view import Page, Part, View
from reports.document import Badge, Column, Facts, Paragraph, Row, Table
from reports.wording import count
from studies.registry.audit import count_events, first_broken_link, newest_events

_SHOWN = 300
_LONGEST = 160
_HASH = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")


def build(view: View) -> list[Part]:
    with view.queries.reading() as connection:
        total = count_events(connection)
        events = newest_events(connection, _SHOWN)
        head = events[0]["hash"] if events else ""
        # Checking every link takes a second for some 100,000 events, so that it is done once for a head.
        broken = view.queries.once(("trail", head), lambda: [first_broken_link(connection)])[0]
    state = Badge("whole", "good") if broken is None else Badge("broken", "bad")
    parts: list[Part] = [
        Facts((("Events", count(total)), ("The chain of hashes is", state), ("Newest hash", head[:16])))
    ]
    if broken is not None:
        parts.append(Paragraph(f"{broken[1]}. Restore the registry from a backup."))
    rows = tuple(
        Row((str(event["id"]), whole(event["at"][:19].replace("T", " ")), event["actor"], event["action"],
             event["entity"], event["entity_key"], event["study"] or "", _detail(event)))
        for event in events
    )  # fmt: skip
    columns = tuple(
        Column(name) for name in ("Number", "When (UTC)", "Who", "What", "Of what", "Which", "Study", "Detail")
    )
    caption = f"The newest {count(len(rows))} events, newest first. calliper audit show has all."
    return [*parts, Table("table-trail", caption, columns, rows)]


def _detail(event: dict[str, Any]) -> str:
    if event.get("erased"):
        return "erased with the person"
    text = json.dumps(event["detail"], ensure_ascii=False) if event["detail"] else ""
    text = _HASH.sub(r"\1…", text)  # whole hashes are for calliper audit show
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


PAGE = Page("audit", "Audit", build, role="admin", filtered=False)
