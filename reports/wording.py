"""Numbers into words: the one place where a value becomes text.

Every sentence follows its value: direction, significance, number and unit are decided here from the unrounded number,
never typed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from studies.measurands import MEASURANDS

MINUS = "\u2212"
"""The true minus sign: as wide as a plus, and never taken for a hyphen."""
ABSENT = "–"
"""Stands for a number that does not exist; a reason goes beside it."""

_UNITS = {"%": ("percentage points", "pp"), "ohm": ("Ω", "Ω")}
_ACRONYMS = {
    "adp": "ADP",
    "ansur": "ANSUR",
    "bia": "BIA",
    "bmi": "BMI",
    "bodpod": "BOD POD",
    "ct": "CT",
    "dxa": "DXA",
    "mri": "MRI",
    "rfm": "RFM",
    "deurenberg": "Deurenberg",
    "gallagher": "Gallagher",
}


# Numbers --------------------------------------------------------------------------------------------------------------


def number(value: float | None, places: int = 2, *, sign: bool = False) -> str:
    """A number with a true minus sign, thousands separated, never "−0.00"; "–" where there is none.

    >>> number(-0.1449), number(1234.5, 1), number(-0.001), number(0.5, sign=True)
    ('−0.14', '1,234.5', '0.00', '+0.50')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:,.{places}f}"
    if float(text.replace(",", "")) == 0:
        return text.lstrip("-")
    if text.startswith("-"):
        return MINUS + text[1:]
    return f"+{text}" if sign else text


def plain_number(value: float) -> str:
    """A number as a person types it: 18 for 18.0, 4.5 for 4.50."""
    return f"{value:g}".replace("-", MINUS)


def significant_digits(value: float, digits: int = 4) -> float:
    """A number with fewer digits; those before its point stay.

    >>> significant_digits(2.60869), significant_digits(22037.5), significant_digits(0.0123456)
    (2.609, 22038.0, 0.01235)
    """
    if not value or not math.isfinite(value):
        return value
    return float(round(value, max(0, digits - 1 - math.floor(math.log10(abs(value))))))


def signed_text(text: str) -> str:
    """True minus signs in text such as "between -2 and 2", where a hyphen before a digit follows a space or bracket."""
    out = []
    for position, character in enumerate(text):
        before = text[position - 1] if position else " "
        after = text[position + 1] if position + 1 < len(text) else ""
        out.append(MINUS if character == "-" and before in " ([±" and after.isdigit() else character)
    return "".join(out)


def count(value: int | None) -> str:
    """A count with thousands separated.

    >>> count(100000)
    '100,000'
    """
    return ABSENT if value is None else f"{value:,}".replace("-", MINUS)


def plural(n: int, one: str, many: str | None = None) -> str:
    """A count and its noun.

    >>> plural(1, "subject"), plural(2, "subject"), plural(0, "match", "matches")
    ('1 subject', '2 subjects', '0 matches')
    """
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    items = list(words)
    return f" {last} ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def sentence(text: str) -> str:
    """Text with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def inside(label: str) -> str:
    """A label inside a sentence: its first letter small, unless it is an acronym.

    >>> inside("Age (years)"), inside("BMI class (WHO)")
    ('age (years)', 'BMI class (WHO)')
    """
    return label[:1].lower() + label[1:] if not label[1:2].isupper() else label


def p_value(p: float | None) -> str:
    """A p-value for prose. Digits are added where rounding would carry it across 0.05.

    >>> p_value(0.0002), p_value(0.0311), p_value(0.0496), p_value(0.99961)
    ('p < 0.001', 'p = 0.031', 'p = 0.0496', 'p > 0.999')
    """
    text = p_text(p)
    return "p not computed" if text == ABSENT else f"p {text}" if text[0] in "<>" else f"p = {text}"


def p_text(p: float | None) -> str:
    """A p-value for a table: "< 0.001", "0.031"."""
    if p is None or not math.isfinite(p):
        return ABSENT
    if p < 0.001:
        return "< 0.001"
    if p > 0.999:
        return "> 0.999"
    places = 3
    while (p < 0.05) != (round(p, places) < 0.05) and places < 12:
        places += 1
    return f"{p:.{places}f}"


def significant(p: float | None, level: float = 0.95) -> bool:
    return p is not None and p < 1 - level


# Estimates ------------------------------------------------------------------------------------------------------------


def estimate_of(item: Mapping[str, Any] | None) -> dict[str, Any]:
    """An estimate as a dict that always has estimate, low and high."""
    return {"estimate": None, "low": None, "high": None, **(item or {})}


def interval(item: Mapping[str, Any] | None, places: int = 2) -> str:
    """The interval alone: "−0.37 to 0.09"; empty where there is none."""
    found = estimate_of(item)
    if found["low"] is None or found["high"] is None:
        return ""
    return f"{number(found['low'], places)} to {number(found['high'], places)}"


def excludes(item: Mapping[str, Any] | None, null: float = 0.0) -> bool | None:
    """Does the interval leave out `null`? None where there is no interval."""
    found = estimate_of(item)
    if found["low"] is None or found["high"] is None:
        return None
    return found["low"] > null or found["high"] < null


def level_text(level: float) -> str:
    """A confidence level: "95%"."""
    return f"{100 * level:g}%"


# Units and names ------------------------------------------------------------------------------------------------------


def unit_of_values(unit: str) -> str:
    return "Ω" if unit == "ohm" else unit


def unit_of_differences(unit: str) -> str:
    """Differences of percentages are percentage points."""
    return _UNITS.get(unit, (unit, unit))[0]


def short_unit_of_differences(unit: str) -> str:
    return _UNITS.get(unit, (unit, unit))[1]


def amount(value: float | None, unit: str, places: int = 2) -> str:
    """A difference with its unit: "1.20 percentage points", "0.80 cm"."""
    return f"{number(value, places)} {unit_of_differences(unit)}"


def method_label(name: str) -> str:
    """A method's name for people: known acronyms in capitals, underscores as spaces, anything else as it is.

    >>> method_label("dxa"), method_label("smart_scale"), method_label("GE Lunar iDXA")
    ('DXA', 'smart scale', 'GE Lunar iDXA')
    """
    if name.lower() in _ACRONYMS and name in (name.lower(), name.upper()):
        return _ACRONYMS[name.lower()]
    if name.isascii() and name == name.lower():
        return " ".join(_ACRONYMS.get(word, word) for word in name.replace("_", " ").split())
    return name


_OF_BODIES = {
    "surface_area_m2": "Surface area of the body (m²)",
    "volume_l": "Volume of the body (l)",
    "waist_to_hip": "Waist-to-hip ratio",
    "waist_to_stature": "Waist-to-stature ratio",
}
"""Measurands that a run alone gives: they cannot come in as readings, so that the registry's list has them not."""


def measurand_label(name: str) -> str:
    """A measurand's name and unit for people.

    >>> measurand_label("waist_cm"), measurand_label("waist_to_hip"), measurand_label("something_else")
    ('Waist girth (cm)', 'Waist-to-hip ratio', 'Something else')
    """
    known = MEASURANDS.get(name)
    if known is not None:
        return f"{sentence(known.label)} ({known.unit})"
    return _OF_BODIES.get(name) or sentence(name.replace("_", " "))


def with_article(label: str) -> str:
    """A method's label inside a sentence: a common noun takes its article, a name does not.

    >>> with_article("smart scale"), with_article("DXA"), with_article("Deurenberg")
    ('the smart scale', 'DXA', 'Deurenberg')
    """
    if label != label.lower() or not label[:1].isalpha() or label.split()[0] in ("a", "an", "the"):
        return label
    return f"the {label}"


_SEX = {"F": "Women", "M": "Men"}
_PROPER = {
    "american": "American",
    "asian": "Asian",
    "black": "Black",
    "european": "European",
    "hispanic": "Hispanic",
    "indian": "Indian",
    "mexican": "Mexican",
    "white": "White",
}


def group_label(group: str, subgroup: str = "sex") -> str:
    """A group's name for people: codes of sex and codes with underscores in words, anything else as it is.

    >>> group_label("F"), group_label("18–39", "age"), group_label("F", "site")
    ('Women', '18–39', 'F')
    >>> group_label("non_hispanic_white", "ethnicity"), group_label("other", "ethnicity")
    ('Non-Hispanic White', 'Other')
    """
    if subgroup == "sex" and group in _SEX:
        return _SEX[group]
    if group == group.lower() and (group.isalpha() or "_" in group):
        words = " ".join(_PROPER.get(word, word) for word in group.replace("_", " ").split())
        return sentence(words.replace("non ", "non-"))
    return group


# Sentences ------------------------------------------------------------------------------------------------------------


def direction(item: Mapping[str, Any] | None, method: str, reference: str) -> str:
    """Which way a method errs on average, and how surely.

    With an interval that leaves out zero: "BIA over-reads DXA". Otherwise no direction is claimed.
    """
    found = estimate_of(item)
    if found["estimate"] is None:
        return f"the bias of {method} against {reference} could not be computed"
    apart = excludes(found)
    if apart:
        return f"{method} {'over-reads' if found['estimate'] > 0 else 'under-reads'} {reference} on average"
    if apart is None:
        if found["estimate"] == 0:
            return f"{method} agrees with {reference} on average in these data"
        way = "above" if found["estimate"] > 0 else "below"
        return f"{method} reads {way} {reference} on average in these data, by an amount whose interval is not known"
    return f"{method} shows no clear over- or under-reading of {reference}"


def versus(
    item: Mapping[str, Any] | None,
    a: str,
    b: str,
    null: float = 0.0,
    *,
    p_adjusted: float | None = None,
    level: float = 0.95,
) -> str:
    """Whose error is smaller, from the interval of a difference (null 0) or a ratio (null 1) of errors, a less b.

    The interval is that of one comparison alone. Where its p-value, adjusted for all of them, says otherwise, both are
    told: nobody has a smaller error that the adjustment takes away.
    """
    found = estimate_of(item)
    if found["estimate"] is None:
        return f"The errors of {a} and {b} could not be compared"
    apart = excludes(found, null)
    if apart:
        way = "smaller" if found["estimate"] < null else "larger"
        if p_adjusted is not None and not significant(p_adjusted, level):
            return (
                f"By its interval alone {a} has a {way} error than {b}, but the test, adjusted for the number of "
                "comparisons, does not show it"
            )
        return f"{sentence(a)} has a {way} error than {b}"
    if apart is False and significant(p_adjusted, level):
        return f"Whether {a} or {b} has the smaller error stays open: the test tells them apart, the interval does not"
    if apart is None:
        way = "smaller" if found["estimate"] < null else "larger" if found["estimate"] > null else "equal"
        joint = "to" if way == "equal" else "than"
        return f"{sentence(a)} has a {way} error {joint} {b} in these data, by an amount whose interval is not known"
    return f"The data do not show a difference in error between {a} and {b}"


def proportional(item: Mapping[str, Any] | None, method: str) -> str:
    """What the slope of the differences on the size of the measurement says."""
    found = estimate_of(item)
    if found["estimate"] is None:
        return f"Whether the bias of {method} changes with size could not be computed"
    if not excludes(found):
        return f"The data do not show that the bias of {method} changes with the size of the measurement"
    way = "rises" if found["estimate"] > 0 else "falls"
    return f"The difference of {method} {way} with the size of the measurement"


def in_words(text: str, names: Mapping[str, str]) -> str:
    """Text of the analysis with the codes of methods and measurands as their labels.

    >>> in_words("no bia at the same visit", {"bia": "BIA"})
    'no BIA at the same visit'
    """
    known = {name: label for name, label in names.items() if name != label}
    if not known:
        return text
    longest_first = sorted(known, key=len, reverse=True)
    pattern = r"(?<![\w-])(" + "|".join(re.escape(name) for name in longest_first) + r")(?![\w-])"
    return re.sub(pattern, lambda found: known[found.group()], text)
