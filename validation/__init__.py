"""Method-comparison statistics: arrays and tables in, result objects out.

Nothing here knows of a database, a model or a page. Names are loaded when they are first used, so that importing the
package costs nothing. The analysis of a whole table is `validation.agree.agree`.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "AgreementReport": "validation.agree",
    "bland_altman": "validation.agreement",
    "BlandAltman": "validation.agreement",
    "limits_of_agreement": "validation.agreement",
    "error_measures": "validation.accuracy",
    "ErrorMeasures": "validation.accuracy",
    "compare_errors": "validation.comparison",
    "Comparison": "validation.comparison",
    "ccc": "validation.concordance",
    "pearson": "validation.concordance",
    "holm": "validation.multiplicity",
    "benjamini_hochberg": "validation.multiplicity",
    "spearman": "validation.concordance",
    "kendall": "validation.concordance",
    "icc": "validation.reliability",
    "ICC": "validation.reliability",
    "repeatability": "validation.precision",
    "passing_bablok": "validation.robust",
    "Precision": "validation.precision",
    "corrected_sd": "validation.precision",
    "ols": "validation.regression",
    "deming": "validation.regression",
    "error_ratio": "validation.regression",
    "Line": "validation.regression",
    "cusum": "validation.robust",
    "nonparametric_limits": "validation.limits",
    "tolerance_limits": "validation.limits",
    "prediction_interval": "validation.limits",
    "regression_limits": "validation.limits",
    "total_deviation_index": "validation.limits",
    "coverage_probability": "validation.limits",
    "diagnose": "validation.limits",
    "constant": "validation.repeated",
    "mixed": "validation.repeated",
    "wilson": "validation.proportions",
    "clopper_pearson": "validation.proportions",
    "SubgroupFrame": "validation.subgroups",
    "Gap": "validation.subgroups",
    "Estimate": "validation.results",
    "ValidationError": "validation.errors",
    "NotEnoughData": "validation.errors",
    "NotFinite": "validation.errors",
    "OutOfRange": "validation.errors",
    "Degenerate": "validation.errors",
    "ShapeMismatch": "validation.errors",
    "UnknownOption": "validation.errors",
    "NotConverged": "validation.errors",
    "ValidationWarning": "validation.errors",
}

__all__ = [
    "AgreementReport",
    "BlandAltman",
    "Comparison",
    "Degenerate",
    "ErrorMeasures",
    "Estimate",
    "Gap",
    "ICC",
    "Line",
    "NotConverged",
    "NotEnoughData",
    "NotFinite",
    "OutOfRange",
    "Precision",
    "ShapeMismatch",
    "SubgroupFrame",
    "UnknownOption",
    "ValidationError",
    "ValidationWarning",
    "benjamini_hochberg",
    "bland_altman",
    "ccc",
    "clopper_pearson",
    "compare_errors",
    "constant",
    "corrected_sd",
    "coverage_probability",
    "cusum",
    "deming",
    "diagnose",
    "error_measures",
    "error_ratio",
    "holm",
    "icc",
    "kendall",
    "limits_of_agreement",
    "mixed",
    "nonparametric_limits",
    "ols",
    "passing_bablok",
    "pearson",
    "prediction_interval",
    "regression_limits",
    "repeatability",
    "spearman",
    "tolerance_limits",
    "total_deviation_index",
    "wilson",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'validation' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
