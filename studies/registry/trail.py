"""Whether the audit trail is whole: every link, what it says of people, its guards, its clock, and its anchors.

The chain alone cannot tell when its end was cut off, or when all of it was written anew: whoever can do that can also
compute the hashes. An anchor, the head of the chain noted elsewhere (in a signed report, in a file on another machine),
can: the trail must still have the event of that number with that hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, exists, select

from studies.errors import DataError
from studies.registry.audit import GENESIS, commitment, link_hash, utc_now
from studies.registry.guards import guard_faults
from studies.registry.schema import AuditEvent, AuditPersonal

if TYPE_CHECKING:
    from studies.registry.workspace import Registry

CLOCK_TOLERANCE = timedelta(minutes=2)
"""By how much the clocks of machines that write to one registry may differ."""

ERASING = ("erase", "retain")  # actions whose events name the events that they took the content of


@dataclass(frozen=True)
class Head:
    """The newest event of a trail: its number, its hash (hex) and its time (UTC, ISO 8601). Number 0: no event yet."""

    number: int
    hash: str
    at: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True)
class Break:
    """The first place where a trail is not what it was: the event's number, and what is wrong."""

    number: int
    what: str


@dataclass(frozen=True)
class TrailCheck:
    """What came of checking a trail.

    broken: the first link that does not hold. guards: what is wrong with the triggers. doubts: what a person should
    look at (a clock that went back) although every link holds. anchors: how many were checked.
    """

    events: int
    head: Head
    broken: Break | None
    guards: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    anchors: int = 0

    @property
    def whole(self) -> bool:
        """Nothing is broken and the guards are in place; there may be doubts."""
        return self.broken is None and not self.guards

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "whole": self.whole}


def chain_head(registry: Registry) -> Head:
    """The head of the registry's trail, to be noted in a signed report or elsewhere."""
    with registry.reading() as connection:
        return head_of(connection)


def head_of(connection: Connection) -> Head:
    """The head of the trail as this connection sees it: within a writer's transaction, with what it has appended."""
    row = connection.execute(
        select(AuditEvent.id, AuditEvent.hash, AuditEvent.at).order_by(AuditEvent.id.desc()).limit(1)
    ).one_or_none()
    return Head(row.id, row.hash, row.at) if row else Head(0, GENESIS, "")


def verify_trail(registry: Registry, anchors: Iterable[Head] = ()) -> TrailCheck:
    """Check the registry's trail, also against anchors."""
    with registry.reading() as connection:
        return check_trail(connection, anchors)


def check_trail(connection: Connection, anchors: Iterable[Head] = (), *, now: datetime | None = None) -> TrailCheck:
    """Check every link of the trail in order, then the anchors; the first thing that is broken is named."""
    wanted = sorted(set(anchors), key=lambda anchor: (anchor.number, anchor.hash))
    walk = _Walk(now or utc_now())
    broken = walk.through(connection, {anchor.number for anchor in wanted})
    missed = next((found for anchor in wanted if (found := walk.differs(anchor))), None)
    if missed is not None and (broken is None or missed.number < broken.number):
        broken = missed
    return TrailCheck(walk.events, walk.head, broken, guard_faults(connection), walk.doubts, len(wanted))


class _Walk:
    """One pass over the trail, in order."""

    def __init__(self, now: datetime):
        self.now = now
        self.events = 0
        self.head = Head(0, GENESIS, "")
        self.hashes: dict[int, tuple[str, str]] = {}  # of the events at which there are anchors
        self.doubts: list[str] = []
        self._emptied: dict[int, int] = {}  # events whose content is gone -> how often told so
        self._named: set[int] = set()  # events that an erasure names

    def through(self, connection: Connection, anchored: set[int]) -> Break | None:
        """The first broken link. The walk goes to the end whatever it finds, for the head and the anchors."""
        broken: Break | None = None
        expected, previous, latest = 1, GENESIS, ""
        for row in connection.execute(_rows(), execution_options={"stream_results": True}):
            found = self._link(row, expected, previous)
            if broken is None:
                broken = found
            self._clock(row, latest)
            if row.id in anchored:
                self.hashes[row.id] = (row.hash, row.at)
            if row.personal_hash is not None and row.content is None:
                self._emptied[row.id] = 0
            if row.action in ERASING:
                self._named |= _named(row.detail, row.id)
            self.events += 1
            self.head = Head(row.id, row.hash, row.at)
            expected, previous, latest = row.id + 1, row.hash, max(latest, row.at)
        return _first(broken, self._unexplained(), _stray(connection))

    def _link(self, row: Any, expected: int, previous: str) -> Break | None:
        if row.id != expected:
            return Break(expected, f"event {expected} is missing: the next one found is {row.id}")
        if row.previous_hash != previous:
            return Break(row.id, f"event {row.id} does not follow from the event before it")
        link = link_hash(
            row.id, row.at, row.actor, row.action, row.study, row.entity, row.entity_key, row.detail,
            row.personal_hash, row.previous_hash,
        )  # fmt: skip
        if link != row.hash:
            return Break(row.id, f"event {row.id} was changed after it was written")
        if row.action == "convert" and (before := json.loads(row.detail).get("broken")):
            return Break(before["number"], f"before the trail was converted, {before['what']}")
        if row.personal_hash is None:
            return None
        if row.event_id is None:
            return Break(row.id, f"what event {row.id} says of a person was removed, row and all")
        if row.content is None:
            return None  # erased, if an erasure says so
        if commitment(row.salt or "", row.aside_study, row.subject or "", row.content) != row.personal_hash:
            return Break(row.id, f"what event {row.id} says of a person was changed after it was written")
        return None

    def _clock(self, row: Any, latest: str) -> None:
        try:
            at = datetime.fromisoformat(row.at)
            back = datetime.fromisoformat(latest) - at if latest else timedelta(0)
        except ValueError:
            return  # the link says that the event was changed
        if back > CLOCK_TOLERANCE:
            self.doubts.append(
                f"Event {row.id} is dated {_span(back)} before an event that came earlier: a clock was set back, or "
                "was ahead before."
            )
        if at - self.now > CLOCK_TOLERANCE:
            self.doubts.append(f"Event {row.id} is dated {_span(at - self.now)} in the future: a clock is wrong.")

    def _unexplained(self) -> Break | None:
        missing = sorted(set(self._emptied) - self._named)
        if not missing:
            return None
        what = f"what event {missing[0]} says of a person is gone, and no erasure in the trail says so"
        return Break(missing[0], what)

    def differs(self, anchor: Head) -> Break | None:
        """How the trail differs from an anchor."""
        if anchor.number == 0:
            return None
        when = f", of {anchor.at[:16].replace('T', ' ')} UTC," if anchor.at else ""
        if anchor.number > self.head.number:
            lost = anchor.number - self.head.number
            lost_events = "one event is" if lost == 1 else f"{lost:,} events are"
            return Break(
                self.head.number + 1,
                f"the trail ends at event {self.head.number}, but an anchor{when} says that there was event "
                f"{anchor.number}: at least {lost_events} gone from its end, or this is an older copy",
            )
        found = self.hashes.get(anchor.number)
        if found is None or found[0] != anchor.hash:
            return Break(
                anchor.number,
                f"event {anchor.number} is not the one that an anchor{when} names: the trail up to it was written "
                "anew, or belongs to another registry",
            )
        return None


def _rows() -> Select[Any]:
    aside = AuditPersonal.__table__.c
    return (
        select(
            AuditEvent.__table__, aside.event_id, aside.study.label("aside_study"), aside.subject, aside.salt,
            aside.content,
        )
        .outerjoin(AuditPersonal, AuditPersonal.event_id == AuditEvent.id)
        .order_by(AuditEvent.id)
    )  # fmt: skip


def _stray(connection: Connection) -> Break | None:
    """Personal content beside an event that has none, or beside no event."""
    fitting = exists().where(AuditEvent.id == AuditPersonal.event_id, AuditEvent.personal_hash.is_not(None))
    query = select(AuditPersonal.event_id).where(~fitting).order_by(AuditPersonal.event_id).limit(1)
    number = connection.execute(query).scalar_one_or_none()
    return None if number is None else Break(number, f"event {number} was given a content that it never had")


def _named(detail: str, number: int) -> set[int]:
    """The events before `number` that an erasure says it took the content of."""
    try:
        ranges = json.loads(detail).get("events", [])
        return {one for first, last in ranges for one in range(first, min(last, number - 1) + 1)}
    except (ValueError, TypeError, AttributeError):
        return set()  # the link says that the event was changed


def number_ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Rising numbers as [first, last] pairs, as an erasure's event names them.

    >>> number_ranges([3, 4, 5, 9])
    [[3, 5], [9, 9]]
    """
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _first(*breaks: Break | None) -> Break | None:
    return min((one for one in breaks if one is not None), key=lambda one: one.number, default=None)


def _span(time: timedelta) -> str:
    minutes = time.total_seconds() / 60
    for size, unit in ((1440, "days"), (60, "hours")):
        if minutes >= 2 * size:
            return f"{minutes / size:.0f} {unit}"
    return f"{minutes:.0f} minutes"


# Anchors as text ------------------------------------------------------------------------------------------------------

_SHORT = re.compile(r"(\d+):([0-9a-f]{64})")


def parse_anchor(given: str) -> list[Head]:
    """Anchors as a person gives them: NUMBER:HASH, or a file of JSON (one, a list, or one a line).

    Raises DataError where it is neither.
    """
    if short := _SHORT.fullmatch(given.strip()):
        return [Head(int(short[1]), short[2], "")]
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        raise DataError(
            f"'{given}' is no anchor.",
            remedy="Give NUMBER:HASH, or a file that `calliper audit anchor --to FILE` has written.",
        ) from None
    try:
        return _from_json(text)
    except (ValueError, TypeError, KeyError):
        raise DataError(
            "This file holds no anchors.",
            where=str(path),
            remedy="It should hold JSON with number, hash and at, as `calliper audit anchor --to FILE` writes it.",
        ) from None


def _from_json(text: str) -> list[Head]:
    try:
        found = json.loads(text)
    except ValueError:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    listed = found if isinstance(found, list) else [found]
    heads = [Head(int(one["number"]), str(one["hash"]), str(one.get("at", ""))) for one in listed]
    if not heads or not all(re.fullmatch(r"[0-9a-f]{64}", head.hash) for head in heads):
        raise ValueError
    return heads
