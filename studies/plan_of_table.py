"""An analysis plan applied to a table on disk, without a registry: its settings, subgroups, margins and criteria.

The columns of such a table are named as the plan names things: methods as `reference`, `index` and `comparators`,
attributes and measurands as `subgroups` do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from studies.cohort import classed
from studies.criteria import judge
from studies.plan import plan_hash
from studies.plan_model import Plan, Subgroup


@dataclass(frozen=True)
class PlanOfTable:
    """What a plan says of the analysis of one table with the columns `reference` and `tests`.

    `taken` are further columns that the analysis uses: no subgroup may take the place of one.
    """

    plan: Plan
    reference: str
    tests: Sequence[str]
    taken: Sequence[str] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `validation.agree.agree` that the plan gives."""
        names = ("level", "resamples", "seed", "minimum_cell", "limits", "repeated")
        return {name: value for name in names if (value := getattr(self.plan, name)) is not None}

    @property
    def applies(self) -> bool:
        """Whether margins and criteria can be judged: the table has the plan's reference standard."""
        return self.reference == self.plan.reference

    def wanted(self) -> tuple[list[str], list[str]]:
        """Columns, if the table has them, that subgroups are made of: of numbers, and of labels."""
        numbers = [group.source for group in self.plan.subgroups if group.cut_points is not None]
        labels = [group.source for group in self.plan.subgroups if group.cut_points is None]
        given = {self.plan.measurand, *self.tests, self.reference}
        return [name for name in numbers if name not in given], [name for name in labels if name not in given]

    def add_subgroups(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
        """The table with a column for each subgroup whose source it has, their names, and those left out."""
        frame = frame.copy()
        made: dict[str, pd.Categorical] = {}
        left_out = []
        for group in self.plan.subgroups:
            source = self._source(group)
            if source in frame.columns and group.name not in (self.reference, *self.tests, *self.taken):
                made[group.name] = classed(frame[source], group)
            else:
                left_out.append(group.name)
        for name, values in made.items():
            frame[name] = values
        return frame, list(made), left_out

    def _source(self, group: Subgroup) -> str:
        return self.reference if group.source == self.plan.measurand and self.applies else group.source

    def verdicts(self, results: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """A row a criterion that this table can tell of, and the names of those that it cannot."""
        judged = [criterion for criterion in self.plan.criteria if self._can_judge(criterion, results)]
        left_out = [criterion.name for criterion in self.plan.criteria if criterion not in judged]
        whole = {**results, "index": self.plan.index}
        return judge(self.plan.model_copy(update={"criteria": judged}), whole), left_out

    def _can_judge(self, criterion: Any, results: Mapping[str, Any]) -> bool:
        methods = {criterion.method or self.plan.index, *([criterion.against] if criterion.against else [])}
        group = (criterion.group or "").partition("=")[0]
        return self.applies and methods <= set(self.tests) and (not group or group in results["subgroups"])

    def document(self) -> dict[str, str]:
        return {"title": self.plan.title, "sha256": plan_hash(self.plan)}
