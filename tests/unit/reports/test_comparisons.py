"""The table of comparisons shows whatever metrics the results have, each under its name and in its unit."""

from reports.bound import Bound
from reports.document import text_of
from reports.sections.comparisons import comparisons


def test_spread_and_concordance_have_headings_of_their_own(study, results):
    pair = {"a": results["index"], "b": results["comparisons"][0]["b"], "n": 120, "p_value": 0.02, "p_adjusted": 0.04}
    results["comparisons"] += [
        {
            **pair,
            "metric": "sd",
            "difference": {"estimate": -0.75, "low": -1.0, "high": -0.5},
            "ratio": {"estimate": 0.8, "low": 0.7, "high": 0.9},
        },
        {
            **pair,
            "metric": "ccc",
            "difference": {"estimate": 0.0312, "low": 0.0104, "high": 0.0521},
            "ratio": {"estimate": None, "low": None, "high": None, "reason": "a ratio means nothing"},
        },
    ]
    table = comparisons(Bound(results, study.pairs)).blocks[-1]
    rows = [[text_of(cell) for cell in row.cells] for row in table.rows]
    heads = [row[0] for row in rows if len(row) == 1]
    assert heads[-2:] == ["Standard deviation of the differences", "Concordance correlation (no unit)"]
    spread = rows[rows.index([heads[-2]]) + 1]
    assert spread[2].startswith("−0.75")
    assert spread[3].startswith("0.80")
    rho = rows[-1]
    assert rho[2].startswith("0.031")
    assert rho[3] == "–"
    assert "above 0 the first agrees better" in table.notes[0]
    assert not any("means nothing" in note for note in table.notes)
