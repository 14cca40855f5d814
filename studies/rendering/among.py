"""Which people of a study get rendered scans, where not all of them are asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from models.checkpoints.card import Card
from studies.errors import DataError, UsageError
from studies.plan_model import Plan
from studies.registry.frames import StudyFrames
from studies.registry.leakage import leaked_subjects
from studies.registry.workspace import Registry
from studies.rendering.people import People


@dataclass(frozen=True)
class Among:
    """Conditions that all must hold.

    named: identifiers of subjects. unseen_by: cards of checkpoints whose training data the subject must not be in.
    referenced: the reference method of the plan must have measured the plan's measurand of the subject.
    """

    named: Collection[str] | None = None
    unseen_by: tuple[Card, ...] = ()
    referenced: bool = False

    def people(self, registry: Registry, study: str, people: People, frames: StudyFrames, plan: Plan) -> People:
        """Those of the people who are asked for. Raises UsageError where one of them is unknown, or there is none."""
        wanted = set(frames.subjects["subject_id"])
        if self.named is not None:
            if unknown := sorted(set(self.named) - wanted):
                raise UsageError(
                    f"The study '{study}' has no subject '{unknown[0]}'"
                    + (f", nor {len(unknown) - 1:,} more of the list." if len(unknown) > 1 else "."),
                    remedy="Write the identifiers as the registry has them, one a line.",
                )
            wanted &= set(self.named)
        for card in self.unseen_by:
            wanted -= leaked_subjects(registry, study, card)
        if self.referenced:
            measured = frames.measurements
            mine = measured["method"].eq(plan.reference) & measured["measurand"].eq(plan.measurand)
            wanted &= set(measured.loc[mine, "subject_id"])
        if not wanted:
            raise UsageError(
                f"Nobody in '{study}' is asked for: no subject meets all the conditions.",
                remedy="Ask for fewer conditions at once.",
            )
        return replace(
            people,
            table=people.table[people.table["subject_id"].isin(wanted)].reset_index(drop=True),
            refused=[refusal for refusal in people.refused if refusal.subject_id in wanted],
        )


def read_names(path: Path) -> list[str]:
    """Identifiers of subjects, one a line; empty lines and what follows a # do not count. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "The list of subjects cannot be read.", where=str(path), remedy="Give a text file with one a line."
        ) from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise DataError("The list of subjects is empty.", where=str(path), remedy="Write one identifier a line.")
    return names
