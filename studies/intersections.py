"""People by two attributes at once (sex and age group, say): a method may be fair by each and not by both.

All of the statistics are of `validation`. Intersections are small, so that intervals are those of the jackknife, which
holds its level in few people better than the bootstrap. A cell below the plan's minimum cell is not shown, nor is one
from which it could be worked out together with what the tables of the single attributes show.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from studies.disclosure import hidden
from studies.fairness import Part, equality
from studies.plan_model import Plan, Subgroup
from validation.errors import ValidationError
from validation.subgroups import SubgroupFrame

BETWEEN = " × "


def intersections(table: pd.DataFrame, plan: Plan, index: str, subgroups: dict[str, Any]) -> dict[str, Any]:
    """By intersection ("sex*age_band") {"label", "attributes", "by_group", and what `studies.fairness` says of it}.

    by_group: cell ("F × 18–39") -> {"groups": [one of each attribute], "n", "tests": {index: {"n", "mae", "bias"}}}, or
    n null and suppressed. Cells that nobody is in are left out. Tests of equality between the cells are adjusted after
    Holm for all intersections. table: one row a pair, with a categorical column for each subgroup. subgroups:
    `results["subgroups"]`.
    """
    paired = table[table[index].notna()] if len(table) else table
    parts = [_part(paired, plan, index, first, second, subgroups) for first, second in plan.crossings]
    found = equality([part for part, _ in parts], paired, plan, index)
    return {
        part.name: {"attributes": attributes, "by_group": part.by_group, **found[part.name]}
        for part, attributes in parts
    }


def _part(
    table: pd.DataFrame, plan: Plan, index: str, first: Subgroup, second: Subgroup, subgroups: dict[str, Any]
) -> tuple[Part, list[str]]:
    names = [first.name, second.name]
    labels = pd.Series(None, index=table.index, dtype=object)
    both = table[first.name].notna() & table[second.name].notna()
    columns = [table.loc[both, name].astype("object").astype("str") for name in names]
    labels[both] = columns[0] + BETWEEN + columns[1]
    cells = _cells(table, plan, index, names, subgroups)
    shown = [cell for cell, (_, hide) in cells.items() if not hide]
    rows = labels.isin(shown).to_numpy()
    estimates: dict[str, Any] = {}
    if rows.any():
        try:
            frame = SubgroupFrame(
                test=table[index].to_numpy()[rows], reference=table[plan.reference].to_numpy()[rows],
                groups=labels[rows].to_numpy(), metrics=("mae", "bias"), subject=table["subject_id"].to_numpy()[rows],
                interval="jackknife", level=plan.level, resamples=plan.resamples, seed=plan.seed, minimum_cell=1,
            )  # fmt: skip
            estimates = {cell: item.to_dict() for cell, item in frame.by_group.items()}
        except ValidationError as error:
            nothing = {"estimate": None, "low": None, "high": None, "reason": str(error)}
            estimates = {cell: {"n": int((labels == cell).sum()), "mae": nothing, "bias": nothing} for cell in shown}
    by_group = {
        cell: {"groups": groups, "n": None, "suppressed": True, "minimum_cell": plan.minimum_cell}
        if hide
        else {"groups": groups, "n": estimates[cell]["n"], "tests": {index: estimates[cell]}}
        for cell, (groups, hide) in cells.items()
    }
    part = Part(f"{names[0]}*{names[1]}", f"{first.title}{BETWEEN}{second.title}", labels, by_group)
    return part, names


def _cells(
    table: pd.DataFrame, plan: Plan, index: str, names: list[str], subgroups: dict[str, Any]
) -> dict[str, tuple[list[str], bool]]:
    """Cells that somebody is in, in the order of the groups: the two groups, and whether the cell must be hidden.

    The counts of the single groups are known to the reader, as far as they are shown; people of groups that are not are
    one row or column more. Of whom an attribute is not recorded is left out, as if the reader knew who that is: their
    number is shown in any case.
    """
    if table.empty:
        return {}
    known = [_shown(subgroups, name, index) for name in names]
    one_each = table.dropna(subset=names).drop_duplicates(["subject_id", *names])
    places = [
        pd.Index(groups).get_indexer(one_each[name].astype("object")) for name, groups in zip(names, known, strict=True)
    ]
    size = [len(groups) + 1 for groups in known]
    counts = np.zeros(size, dtype=np.int64)
    np.add.at(counts, (places[0] % size[0], places[1] % size[1]), 1)  # -1, the rest, is the last
    mask = hidden(np.column_stack([counts.sum(axis=1), counts]), plan.minimum_cell)
    # Were a group's own number among what has to be hidden, nothing of the intersection could be shown: it stands in
    # the table of its attribute.
    whole = bool(mask[:-1, 0].any())
    found: dict[str, tuple[list[str], bool]] = {}
    every = [[str(group) for group in table[name].cat.categories] for name in names]
    for a in every[0]:
        for b in every[1]:
            inside = (one_each[names[0]].astype("object") == a) & (one_each[names[1]].astype("object") == b)
            if not inside.any():
                continue
            hide = whole or a not in known[0] or b not in known[1]
            if not hide:
                hide = bool(mask[known[0].index(a), 1 + known[1].index(b)])
            found[f"{a}{BETWEEN}{b}"] = ([a, b], hide)
    return found


def _shown(subgroups: dict[str, Any], name: str, index: str) -> list[str]:
    """Groups of an attribute that are shown of the index test."""
    by_group = subgroups.get(name, {}).get("by_group", {})
    return [
        group for group, content in by_group.items()
        if not content.get("suppressed") and not content["tests"].get(index, {}).get("suppressed")
    ]  # fmt: skip
