"""The result of `agree` as a page of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from validation.results import Estimate, digits

if TYPE_CHECKING:
    from validation.agree import AgreementReport

# Tests that stand side by side; more begin a new block.
ABREAST = 3
ADJUSTED = {"holm": "Holm", "bh": "Benjamini and Hochberg"}
INTERVALS = {"exact": "exact, each limit alone", "exact-paired": "exact, both limits at once", "mover": "MOVER"}
SCALE_UNITS = {"percent": ", % of the mean of both", "percent of reference": ", % of the reference", "log": ", ratio"}


def page(report: AgreementReport) -> str:
    """Every part of the report, in plain lines."""
    settings = report.settings
    lines = [
        f"Agreement with {report.reference}: {report.n:,} rows",
        f"Differences are test - {report.reference}; {100 * settings.level:g}% intervals in brackets; "
        f"{settings.resamples:,} resamples, seed {settings.seed}"
        + ("; errors, comparisons and gaps by jackknife." if settings.intervals == "jackknife" else "."),
    ]
    names = list(report.tests)
    for start in range(0, len(names), ABREAST):
        lines += ["", *methods(report, names[start : start + ABREAST])]
    lines += verdicts(report)
    lines += comparisons(report)
    for attribute, part in report.subgroups.items():
        lines += subgroup(report, attribute, part)
    return "\n".join(lines)


def methods(report: AgreementReport, names: Sequence[str]) -> list[str]:
    """Tests side by side, one quantity a line, and below what could not be computed and what to consider."""
    scale = report.settings.scale
    unit, on = SCALE_UNITS.get(scale, ""), report.settings.regress_on
    missing: dict[str, list[str]] = {}

    def cells(name: str) -> dict[str, str]:
        method = report.tests[name]

        def text(label: str, item: Mapping[str, Any]) -> str:
            if item.get("reason"):
                missing.setdefault(f"{name}: {item['reason']}", []).append(label)
            return estimate(item)

        line, lower = method["proportional_bias"], method["limits"]
        out = {
            "": name,
            "pairs": f"{method['n']:,}" + (f" of {method['subjects']:,} subjects" if "subjects" in method else ""),
            f"bias{unit}": text("bias", method["bias"]),
            "  p, no bias": p_text(method["p_value"]),
            f"SD of differences{', of logarithms' if scale == 'log' else unit}": digits(method["sd"]),
            f"lower limit{unit}": text("limits", lower["lower"]),
            f"upper limit{unit}": text("limits", lower["upper"]),
            "  their intervals": INTERVALS.get(method["limits"]["interval"], method["limits"]["interval"]),
            f"slope on the {on}": text(f"slope on the {on}", line["slope"]),
            "  p, no slope": p_text(line["p_value"]),
            "MAE": text("MAE", method["mae"]),
            "RMSE": text("RMSE", method["rmse"]),
            "median |error|": text("median |error|", method["median_ae"]),
            "MAPE, %": text("MAPE", method["mape"]),
        }
        out |= {f"within ±{k}, %": text(f"within ±{k}", item) for k, item in method["within"].items()}
        out |= {
            "Pearson's r": text("Pearson's r", method["pearson"]),
            "Lin's CCC": text("Lin's CCC", method["ccc"]),
            "ICC(A,1)": text("ICC(A,1)", method["icc"]["ICC(A,1)"]),
            "ICC(C,1)": text("ICC(C,1)", method["icc"]["ICC(C,1)"]),
        }
        for kind, title in (("deming", "Deming"), ("passing_bablok", "Passing–Bablok")):
            for end in ("slope", "intercept"):
                out[f"{title} {end}"] = text(f"{title} {end}", method[kind][end])
        for at, found in method.get("bias_at", {}).items():
            out[f"bias at {at}, Deming"] = text(f"bias at {at}", found["deming"])
            out[f"bias at {at}, Passing–Bablok"] = estimate(found["passing_bablok"])
        if "survey" in method:
            survey = method["survey"]
            out["for the population"] = "" if survey["population"] is None else f"{survey['population']:,.0f}"
            out |= {
                f"  {label}": text(f"weighted {label}", survey[label.lower()])
                for label in ("bias", "SD", "MAE", "RMSE")
            }
            out |= {
                f"  within ±{k}, % ": text(f"weighted share within {k}", item) for k, item in survey["within"].items()
            }
        return out

    columns = [cells(name) for name in names]
    lines = table([[label, *(column[label] for column in columns)] for label in columns[0]])
    for reason, labels in missing.items():
        lines.append(f"  {reason} ({', '.join(dict.fromkeys(labels))})")
    for name in names:
        lines += [f"  {name}: {sentence}" for sentence in report.advice.get(name, [])]
    return lines


def verdicts(report: AgreementReport) -> list[str]:
    if not report.verdicts:
        return []
    margins = dict(report.settings.margins)
    lines = ["", "Verdicts on the whole interval"]
    for name, found in report.verdicts.items():
        lines += [f"  {name}, {bound(metric, margins[metric], report)}: {verdict}" for metric, verdict in found.items()]
    return lines


def bound(metric: str, margin: float, report: AgreementReport) -> str:
    if metric == "bias" and report.settings.scale == "log":
        return f"bias between {1 / margin:.4g} and {margin:g}"
    return f"bias within ±{margin:g}" if metric == "bias" else f"{metric.upper()} at most {margin:g}"


def comparisons(report: AgreementReport) -> list[str]:
    if not report.comparisons:
        return []
    how = ADJUSTED[report.settings.adjust]
    lines = [
        "",
        f"Tests against each other, on the rows that both have (p adjusted by {how}; of SD by Pitman and Morgan)",
    ]
    rows = [["", "", "n", "difference", "ratio", "p", "adjusted"]]
    for item in report.comparisons:
        ratio = "" if item.metric == "ccc" else estimate(item.ratio.to_dict())
        rows.append(
            [
                f"{item.a} against {item.b}",
                item.metric.upper(),
                f"{item.n:,}",
                estimate(item.difference.to_dict()),
                ratio,
                p_text(item.p_value),
                p_text(item.p_adjusted),
            ]
        )
    lines += table(rows)
    reasons = {
        f"  {item.a} against {item.b}, {item.metric.upper()}: {found.reason}"
        for item in report.comparisons
        for found in (item.difference, *(() if item.metric == "ccc" else (item.ratio,)))
        if found.reason
    }
    return [*lines, *sorted(reasons)]


def subgroup(report: AgreementReport, attribute: str, part: Mapping[str, Any]) -> list[str]:
    lines = ["", f"By {attribute}" if not attribute.startswith("bands of ") else attribute.capitalize()]
    if part["unlabelled"]:
        lines[-1] += f" ({part['unlabelled']:,} rows without it)"
    tests = list(report.tests)
    rows = [["", "", "n", "bias", "lower limit", "upper limit", "MAE", "weighted bias", "weighted MAE"]]
    for group, content in part["by_group"].items():
        for name, method in content["tests"].items():
            first = group if name == tests[0] else ""
            if method.get("suppressed"):
                rows.append([first, name, f"not shown, {hidden(method)}"])
                continue
            ends = [method["limits"][end]["estimate"] for end in ("lower", "upper")]
            rows.append(
                [
                    first,
                    name,
                    f"{method['n']:,}",
                    estimate(method["bias"]),
                    *map(digits, ends),
                    estimate(method["mae"]),
                    *(estimate(method["survey"][metric]) for metric in ("bias", "mae") if "survey" in method),
                ]
            )
    if not any(len(row) == len(rows[0]) for row in rows[1:]):
        rows[0] = rows[0][:-2]
    lines += table(rows)
    for name in tests:
        for metric, item in part["difference"][name].items():
            if item["high_group"] is None:
                continue
            who = f"{item['high_group']} less {item['low_group']}"
            other = part["ratio"][name].get(metric)
            ratio = "" if other is None or other["estimate"] is None else f"; ratio {estimate(other)}"
            label = metric if metric == "bias" else metric.upper()
            lines.append(f"  {name}, gap of {label}, {who}: {estimate(item)}{ratio}")
    closer = [
        [
            group,
            f"{row['a']} against {row['b']}",
            estimate(row["difference"]),
            estimate(row["ratio"]),
            p_text(row["p_value"]),
        ]
        for group, content in part["by_group"].items()
        for row in content.get("comparisons", [])
        if row["metric"] == "mae"
    ]
    if closer:
        lines += table([["  MAE", "", "difference", "ratio", "p"], *closer])
    for name, found in part.get("fairness", {}).items():
        lines += fairness(report, name, found)
    return lines


def fairness(report: AgreementReport, name: str, found: Mapping[str, Any]) -> list[str]:
    """Tests of equality, adjusted and pooled estimates, verdicts and detectable gaps of one test in one attribute."""
    lines = []
    for item in found["tests"].values():
        adjusted = f"p {equals(item['p_value'])}, adjusted {equals(item['p_adjusted'])}"
        lines.append(f"  {name}, {item['test'].replace('equal mae', 'equal MAE')}: {adjusted}")
    groups = list(found["detectable_gap"]) or list(next(iter(found["pooled"].values()), {}).get("groups", {}))
    if groups:
        given = found["tests"].get("equal bias, adjusted", {}).get("means") or {}
        margins = dict(report.settings.margins)
        head = ["", "bias, adjusted" if given else "", "bias, pooled", "MAE, pooled", "detectable gap"]
        rows = [[*head, *(bound(metric, margin, report) for metric, margin in margins.items())]]
        for group in groups:
            pooled = [found["pooled"].get(metric, {}).get("groups", {}).get(group) for metric in ("bias", "mae")]
            row = [group, given.get(group), *pooled]
            cells = [item if isinstance(item, str) else "" if item is None else estimate(item) for item in row]
            detectable = found["detectable_gap"].get(group)
            said = [found["verdicts"][metric].get(group, "") for metric in margins] if margins else []
            rows.append([*cells, "" if detectable is None else digits(detectable), *said])
        empty = [i for i in range(len(rows[0])) if not any(row[i] for row in rows)]
        lines += table([[cell for i, cell in enumerate(row) if i not in empty] for row in rows], indent="    ")
    lines += [f"  {name}, {what}: {why}" for what, why in found["left_out"].items()]
    return lines


def hidden(item: Mapping[str, Any]) -> str:
    return item.get("reason") or f"fewer than {item['minimum_cell']} subjects"


def estimate(item: Mapping[str, Any]) -> str:
    """An estimate with its interval; a dash where there is none."""
    found = Estimate(item["estimate"], item["low"], item["high"])
    if found.estimate is None:
        return "–"
    if found.low is None or found.high is None:
        return digits(found.estimate)
    return f"{digits(found.estimate)} ({digits(found.low)} to {digits(found.high)})"


def table(rows: Iterable[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Rows of cells as lines with columns set under one another; rows may be shorter than others."""
    listed = [list(row) for row in rows]
    full = max(map(len, listed), default=0)
    widths = [max((len(row[i]) for row in listed if len(row) == full), default=0) for i in range(full)]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))).rstrip()
        for row in listed
    ]


def p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def equals(p: float | None) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"
