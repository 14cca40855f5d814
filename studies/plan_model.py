"""The analysis plan as a model: its keys, what each may hold, and what must fit together.

`studies.plan` reads and hashes plans, and words the faults that are found here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from studies.measurands import MEASURANDS
from studies.suggestions import suggestion

DERIVED_METHODS = ("deurenberg", "gallagher", "rfm")
"""Methods that the analysis computes itself (`studies.derived`), of body fat percentage only."""

METRICS: dict[str, str] = {
    "bias": "mean difference",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "median_ae": "median absolute error",
    "mape": "mean absolute percentage error",
    "sd": "standard deviation of the differences",
    "ccc": "Lin's concordance correlation coefficient",
    "pearson": "Pearson correlation coefficient",
    "lower_limit": "lower limit of agreement",
    "upper_limit": "upper limit of agreement",
    "limits": "limit of agreement that is further from zero, as a distance",
    "slope": "slope of the difference on the mean (proportional bias)",
    "within_3": "percentage of pairs within 3 units of the reference",
    "within_5": "percentage of pairs within 5 units of the reference",
    "mae_ratio": "mean absolute error as a ratio to that of the method `against`",
}
"""Metrics that a criterion may name."""

MARGIN_METRICS = ("bias",)
"""Metrics that may have an equivalence margin: those whose value of no difference is zero."""

IN_TRAINING = "in_training_data"
"""An attribute that no source brings: "yes" for subjects in the training data of a checkpoint whose predictions are
analysed, else "no" (see `studies.registry.leakage.mark_trained`)."""

_RESERVED = ("subject_id", "visit", "occasion", "method", "reference", "test", "difference", "mean", "n")


def _number(value: Any) -> Any:
    """A plain number as a float, so that 18 and 18.0 are the same plan; everything else as it is."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        # YAML reads an unquoted yes or no as true or false, and a rule that never matches would pass unnoticed.
        written = "yes or true" if value else "no or false"
        raise ValueError(
            f"YAML reads {written} without quotes as a logical value. Put it in quotes, as the data have it."
        )
    return _number(value)


Scalar = Annotated[str | float, BeforeValidator(_no_boolean)]


def _known_measurand(value: str) -> str:
    if value not in MEASURANDS:
        raise ValueError(f"'{value}' is not a measurand. {suggestion(value, MEASURANDS)}")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value):
        raise ValueError(f"'{value}' is not a name. Write letters, digits and underscores, beginning with a letter.")
    if value in _RESERVED:
        raise ValueError(f"'{value}' is a column of every table of pairs. Choose another name.")
    return value


def _method(value: str) -> str:
    if not value.strip() or "=" in value or value != value.strip():
        raise ValueError(f"'{value}' is not the name of a method. Write it as the study's measurements do.")
    if value in _RESERVED:
        raise ValueError(f"'{value}' is a column of every table of pairs and cannot be the name of a method.")
    return value


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Source(_Part):
    """A value of a subject: an attribute of the subject, or a measurand measured (optionally by one method)."""

    attribute: Text | None = None
    measurand: Text | None = None
    method: Text | None = None

    @field_validator("measurand")
    @classmethod
    def _measurand(cls, value: str | None) -> str | None:
        return None if value is None else _known_measurand(value)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.attribute is None) == (self.measurand is None):
            raise ValueError(
                "Name either `attribute` (of the subject, e.g. sex) or `measurand` (e.g. bmi), and not both."
            )
        if self.method is not None and self.measurand is None:
            raise ValueError("`method` goes with `measurand` only. Remove it.")
        return self

    @property
    def source(self) -> str:
        """The name of the attribute or measurand."""
        return self.attribute or self.measurand or ""


class Pairing(_Part):
    """How an index and a reference measurement of one subject come together."""

    match: Literal["visit", "time"] = "visit"
    window_days: Annotated[Number, Field(ge=0)] | None = None
    replicates: Literal["first", "mean", "nearest"] = "first"

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.match == "time" and self.window_days is None:
            raise ValueError("`match: time` needs a window. Add `window_days: 7` (days between the two measurements).")
        return self


class EligibilityRule(_Source):
    """One condition that a subject must meet. Exactly one test a rule, so that a subject left out has one reason."""

    equals: Scalar | None = None
    in_: Annotated[list[Scalar], Field(min_length=1)] | None = Field(default=None, alias="in")
    not_in: Annotated[list[Scalar], Field(min_length=1)] | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    present: Literal[True] | None = None
    reason: Text | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        given = [test for test in _TESTS if getattr(self, "in_" if test == "in" else test) is not None]
        if len(given) != 1:
            found = f"has {', '.join(given)}" if given else "has none"
            raise ValueError(
                f"A rule has exactly one of {', '.join(_TESTS)}; this one {found}. Write one rule for each, "
                "so that each has its own reason."
            )
        return self

    @property
    def test(self) -> str:
        """Which test this rule makes."""
        return next(test for test in _TESTS if getattr(self, "in_" if test == "in" else test) is not None)

    @property
    def why(self) -> str:
        """The reason given for a subject that fails: the plan's own words, or the rule's."""
        if self.reason is not None:
            return self.reason
        if self.test == "present":
            return self.missing
        values = {"equals": [self.equals], "in": self.in_, "not_in": self.not_in}.get(self.test)
        if values is None:
            below = self.test == "at_least"
            return f"{self.source} {'below' if below else 'above'} {_plain(self.at_least if below else self.at_most)}"
        words = " or ".join(_plain(value) for value in values)
        return f"{self.source} is {words}" if self.test == "not_in" else f"{self.source} is not {words}"

    @property
    def missing(self) -> str:
        """The reason given where the value that the rule needs is not recorded."""
        return f"no {self.source}" if self.measurand else f"{self.source} not recorded"


def leave_out_trained(rules: Iterable[EligibilityRule]) -> bool:
    """Whether one of the rules fails for subjects in the training data of a checkpoint."""
    fails = {
        "equals": lambda rule: rule.equals != "yes",
        "in": lambda rule: "yes" not in rule.in_,
        "not_in": lambda rule: "yes" in rule.not_in,
    }
    return any(rule.attribute == IN_TRAINING and rule.test in fails and fails[rule.test](rule) for rule in rules)


_TESTS = ("equals", "in", "not_in", "at_least", "at_most", "present")


def _plain(value: object) -> str:
    """A value as a person writes it: 18 for 18.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


class Subgroup(_Source):
    """Groups of subjects: by the value of an attribute, or by a number cut into classes (lower bound inclusive)."""

    name: Annotated[Text, BeforeValidator(lambda value: _name(value) if isinstance(value, str) and value else value)]
    label: Text | None = None
    cut_points: Annotated[list[Number], Field(min_length=1)] | None = None
    labels: list[Text] | dict[str, Text] | None = None

    @model_validator(mode="after")
    def _groups(self) -> Self:
        cuts = self.cut_points
        if cuts is None:
            if self.measurand is not None or self.attribute == "age":
                raise ValueError(f"`{self.source}` is a number. Add `cut_points`, e.g. `cut_points: [18, 40, 60]`.")
            if isinstance(self.labels, list):
                raise ValueError(
                    "Without `cut_points`, `labels` maps each value to its label. Write `labels: {F: Women, M: Men}`."
                )
        else:
            if any(after <= before for before, after in itertools.pairwise(cuts)):
                raise ValueError(f"`cut_points` must rise: {', '.join(map(_plain, cuts))} do not.")
            if isinstance(self.labels, dict):
                raise ValueError("With `cut_points`, `labels` is a list, from the lowest class to the highest.")
            if self.labels is not None and len(self.labels) != len(cuts) + 1:
                raise ValueError(
                    f"{len(cuts)} cut points make {len(cuts) + 1} classes ({', '.join(class_labels(cuts))}), "
                    f"but `labels` has {len(self.labels)}. Give a label for each, or none."
                )
        values = list(self.labels.values()) if isinstance(self.labels, dict) else self.labels or []
        if isinstance(self.labels, list) and len(set(values)) != len(values):
            raise ValueError("`labels` has the same label twice. Give each class its own.")
        return self

    @property
    def title(self) -> str:
        """The label, or the name in words."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def groups(self) -> list[str] | None:
        """Names of the groups in order, where the plan alone decides them."""
        if self.cut_points is not None:
            return list(self.labels) if isinstance(self.labels, list) else class_labels(self.cut_points)
        return list(dict.fromkeys(self.labels.values())) if isinstance(self.labels, dict) else None


def class_labels(cuts: list[float]) -> list[str]:
    """Names of the classes that `cuts` make, the lower bound inclusive.

    >>> class_labels([18, 40, 60])
    ['<18', '18–39', '40–59', '≥60']
    >>> class_labels([18.5, 25, 30])
    ['<18.5', '18.5–24.9', '25–29.9', '≥30']
    """
    decimals = max(len(f"{cut:.10g}".partition(".")[2]) for cut in cuts)
    inner = [
        f"{low:.10g}" if high - low < 1.5 * 10**-decimals else f"{low:.10g}–{high - 10**-decimals:.{decimals}f}"
        for low, high in itertools.pairwise(cuts)
    ]
    return [f"<{cuts[0]:.10g}", *inner, f"≥{cuts[-1]:.10g}"]


class Criterion(_Part):
    """One acceptance rule: a metric of a method, overall or in one group, against a number chosen beforehand."""

    name: Text
    metric: Text
    method: Text | None = None
    against: Text | None = None
    group: Text | None = None
    at_most: Number | None = None
    at_least: Number | None = None
    between: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    judged_by: Literal["estimate", "interval"] = "estimate"

    @field_validator("metric")
    @classmethod
    def _metric(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"'{value}' is not a metric. {suggestion(value, METRICS)}")
        return value

    @model_validator(mode="after")
    def _rule(self) -> Self:
        given = [name for name in ("at_most", "at_least", "between") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"has {' and '.join(given)}" if given else "has none"
            raise ValueError(f"A criterion has exactly one of at_most, at_least, between; this one {found}.")
        if self.between is not None and self.between[0] >= self.between[1]:
            raise ValueError("`between` is [lower, upper], with the lower first.")
        if self.metric == "sd" and self.judged_by == "interval":
            raise ValueError("`sd` has no interval. Write `judged_by: estimate`, or judge the `limits` instead.")
        if (self.metric == "mae_ratio") != (self.against is not None):
            raise ValueError(
                "`mae_ratio` needs the method it is compared with. Add `against: <method>`."
                if self.against is None
                else f"`against` goes with `metric: mae_ratio` only, not with `{self.metric}`. Remove it."
            )
        if self.metric == "mae_ratio" and self.group is not None:
            raise ValueError("`mae_ratio` is judged overall. Remove `group`.")
        return self

    @property
    def rule(self) -> str:
        """The rule in words, e.g. "at most 4.5"."""
        if self.between is not None:
            return f"between {_plain(self.between[0])} and {_plain(self.between[1])}"
        if self.at_most is not None:
            return f"at most {_plain(self.at_most)}"
        return f"at least {_plain(self.at_least)}"


class DecisionLevel(_Part):
    """A value of the reference at which somebody decides something; the bias is told there. A plain number will do."""

    value: Number
    name: Text | None = None
    group: Text | None = None


class CutOff(_Part):
    """A value from which on people are told apart from those below: gives a 2 x 2 table.

    index_value: the cut-off of the index test, where it is not that of the reference. group: among whom, as in a
    criterion.
    """

    name: Text
    value: Number
    index_value: Number | None = None
    group: Text | None = None


def _level(value: Any) -> Any:
    """A plain number is a level for everybody."""
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Days = Annotated[int, Field(ge=1, le=36_525)]


class Retention(_Part):
    """For how many days things may be kept; see `studies.privacy.retention`. What is not named has no limit."""

    photos: Days | None = None
    unprocessed_photos: Days | None = None
    silhouettes: Days | None = None
    quarantine: Days | None = None
    subjects: Days | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(f"Name a period in days, one of: {', '.join(type(self).model_fields)}.")
        return self


class Privacy(_Part):
    """What the study promises its subjects about their data."""

    pseudonymise: bool = False
    retention: Retention | None = None


class Plan(_Part):
    """An analysis plan. Read one with `load_plan`; see docs/analysis-plan.md for what each key means."""

    calliper_plan: Literal[1]
    title: Text
    measurand: Text
    reference: Text
    index: Text
    comparators: list[Text] = Field(default_factory=list)
    pairing: Pairing = Field(default_factory=Pairing)
    eligibility: list[EligibilityRule] = Field(default_factory=list)
    visits: Annotated[list[Text], Field(min_length=1)] | None = None
    subgroups: list[Subgroup] = Field(default_factory=list)
    margins: dict[str, Annotated[Number, Field(gt=0)]] = Field(default_factory=dict)
    criteria: list[Criterion] = Field(default_factory=list)
    # Keys that came later are None when left out, so that older plans keep their hash.
    intersections: list[Annotated[list[Text], Field(min_length=2, max_length=2)]] | None = None
    decision_levels: Annotated[list[Annotated[DecisionLevel, BeforeValidator(_level)]], Field(min_length=1)] | None = (
        None
    )
    cut_offs: Annotated[list[CutOff], Field(min_length=1)] | None = None
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    level: Annotated[Number, Field(gt=0.5, lt=1)] = 0.95
    limits: Literal["exact", "exact-paired", "mover", "approximate", "nonparametric"] | None = None
    repeated: Literal["varying", "constant", "mixed"] | None = None
    minimum_cell: Annotated[int, Field(ge=1)] = 10
    privacy: Privacy | None = None

    @field_validator("measurand")
    @classmethod
    def _measurand(cls, value: str) -> str:
        return _known_measurand(value)

    @field_validator("reference", "index")
    @classmethod
    def _one_method(cls, value: str) -> str:
        return _method(value)

    @field_validator("comparators")
    @classmethod
    def _methods(cls, value: list[str]) -> list[str]:
        return _unique([_method(method) for method in value], "comparator")

    @field_validator("visits")
    @classmethod
    def _visits(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else _unique(value, "visit")

    @field_validator("subgroups")
    @classmethod
    def _subgroup_names(cls, value: list[Subgroup]) -> list[Subgroup]:
        _unique([subgroup.name for subgroup in value], "subgroup name")
        return value

    @field_validator("criteria")
    @classmethod
    def _criterion_names(cls, value: list[Criterion]) -> list[Criterion]:
        _unique([criterion.name for criterion in value], "criterion name")
        return value

    @field_validator("cut_offs")
    @classmethod
    def _cut_off_names(cls, value: list[CutOff] | None) -> list[CutOff] | None:
        _unique([cut.name for cut in value or []], "cut-off name")
        return value

    @field_validator("margins")
    @classmethod
    def _margins(cls, value: dict[str, float]) -> dict[str, float]:
        for metric in value:
            if metric not in MARGIN_METRICS:
                raise ValueError(f"'{metric}' cannot have an equivalence margin. {suggestion(metric, MARGIN_METRICS)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        # Errors name the path themselves: a model validator of the whole has none of its own.
        if self.index == self.reference:
            raise _at(
                "index", f"The index test is the reference standard itself, '{self.reference}'. Name another method."
            )
        for position, method in enumerate(self.comparators):
            if method in (self.reference, self.index):
                role = "reference standard" if method == self.reference else "index test"
                raise _at(f"comparators[{position}]", f"'{method}' is the {role} already. Remove it here.")
        methods = self.tests
        if self.reference in DERIVED_METHODS:
            raise _at("reference", f"'{self.reference}' is computed from other measurements and cannot be a reference.")
        for method in methods:
            if method in DERIVED_METHODS and self.measurand != "body_fat_percent":
                path = "index" if method == self.index else f"comparators[{self.comparators.index(method)}]"
                raise _at(path, f"'{method}' computes body_fat_percent, but the plan's measurand is {self.measurand}.")
        for position, subgroup in enumerate(self.subgroups):
            if subgroup.name in (*methods, self.reference):
                raise _at(f"subgroups[{position}].name", f"'{subgroup.name}' is the name of a method. Choose another.")
        for position, criterion in enumerate(self.criteria):
            for key, method in (("method", criterion.method), ("against", criterion.against)):
                if method is not None and method not in methods:
                    raise _at(
                        f"criteria[{position}].{key}",
                        f"'{method}' is not a test of this plan. {suggestion(method, methods)}",
                    )
            if criterion.against is not None and criterion.against == (criterion.method or self.index):
                raise _at(f"criteria[{position}].against", "A method cannot be compared with itself. Name another.")
        self._check_intersections()
        for part in ("criteria", "decision_levels", "cut_offs"):
            for position, item in enumerate(getattr(self, part) or []):
                if item.group is not None:
                    self._check_group(f"{part}[{position}].group", item.group)
        return self

    def _check_intersections(self) -> None:
        names = [subgroup.name for subgroup in self.subgroups]
        seen: list[set[str]] = []
        for position, pair in enumerate(self.intersections or []):
            path = f"intersections[{position}]"
            for name in pair:
                if name not in names:
                    raise _at(path, f"'{name}' is not a subgroup of this plan. {suggestion(name, names)}")
            if pair[0] == pair[1]:
                raise _at(path, f"'{pair[0]}' cannot be crossed with itself. Name two subgroups.")
            if set(pair) in seen:
                raise _at(path, f"{pair[0]} and {pair[1]} are there twice. Write them once.")
            seen.append(set(pair))

    def _check_group(self, path: str, text: str) -> None:
        name, separator, group = text.partition("=")
        known = {subgroup.name: subgroup for subgroup in self.subgroups}
        if not separator or not group:
            raise _at(path, f"'{text}' does not name a group. Write subgroup=group, e.g. `sex=F`.")
        if not known:
            raise _at(
                path, f"The plan has no subgroups, so there is no group '{text}'. Add `subgroups`, or remove `group`."
            )
        if name not in known:
            raise _at(path, f"'{name}' is not a subgroup of this plan. {suggestion(name, known)}")
        groups = known[name].groups
        # The labels of a mapping need not cover every value, so only classes are known for certain.
        if known[name].cut_points is not None and groups is not None and group not in groups:
            raise _at(path, f"'{group}' is not a class of {name}. {suggestion(group, groups)}")

    @property
    def tests(self) -> list[str]:
        """The index test and the comparators, in this order."""
        return [self.index, *self.comparators]

    @property
    def crossings(self) -> list[tuple[Subgroup, Subgroup]]:
        """The intersections of subgroups: those that the plan names, else sex with each of the others."""
        known = {subgroup.name: subgroup for subgroup in self.subgroups}
        if self.intersections is not None:
            return [(known[first], known[second]) for first, second in self.intersections]
        sexes = [item for item in self.subgroups if item.attribute == "sex"][:1]
        return [(sex, other) for sex in sexes for other in self.subgroups if other is not sex]

    @property
    def attributes(self) -> list[str]:
        """The attributes of subjects that the plan names."""
        named = [source.attribute for source in (*self.eligibility, *self.subgroups) if source.attribute is not None]
        return list(dict.fromkeys(named))

    @property
    def leaves_out_trained(self) -> bool:
        """Whether its eligibility leaves out the subjects on whom a checkpoint was trained."""
        return leave_out_trained(self.eligibility)

    def document(self) -> dict[str, Any]:
        """The plan as plain dicts, lists, strings and numbers, defaults written out, keys in the plan's order.

        A key that is not set is left out, so that an optional key added to the format later leaves the hash of every
        older plan as it was.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_yaml(self) -> str:
        """The plan as YAML that `load_plan` reads back to an equal plan."""
        return yaml.safe_dump(self.document(), sort_keys=False, allow_unicode=True, width=100)


class FaultAtError(ValueError):
    """A fault of the whole plan that knows its place."""

    def __init__(self, path: str, text: str):
        self.path = path
        super().__init__(text)


def _at(path: str, text: str) -> FaultAtError:
    return FaultAtError(path, text)


def _unique(values: list[str], what: str) -> list[str]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"The {what} '{twice[0]}' is there twice. Write it once.")
    return values
