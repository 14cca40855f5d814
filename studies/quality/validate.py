"""Run the rules of a table over a checked frame with Great Expectations, and say which rows fail which rule."""

from __future__ import annotations

import functools
import gc
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from studies.quality.rules import Rule

_ROW_NUMBER = "row_number"


@functools.cache
def _great_expectations() -> Any:
    """Great Expectations, without its usage reports and progress bars. Imported late: it takes seconds."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import great_expectations as gx
    finally:
        if collecting:
            gc.enable()
    # Its classes are a million objects that stay. The collector would walk over all of them again and again, which
    # took a tenth of the time of a large ingest.
    gc.freeze()
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    return gx


@dataclass
class Failures:
    """For each rule (by name) the positions of the rows that fail it."""

    rows: dict[str, np.ndarray] = field(default_factory=dict)

    def of(self, rule: Rule) -> np.ndarray:
        """The positions where `rule` is to be told: where it fails, and none fails that says more."""
        rows = self.rows.get(rule.name, np.empty(0, dtype=np.int64))
        for name in rule.unless:
            rows = np.setdiff1d(rows, self.rows.get(name, []))
        return rows


class Suite:
    """The rules of one table as an expectation suite that is run on frame after frame."""

    def __init__(self, table: str, rules: Sequence[Rule]):
        gx = _great_expectations()
        self.rules = {rule.name: rule for rule in rules}
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        asset = context.data_sources.add_pandas("canonical").add_dataframe_asset(table)
        self._batches = asset.add_batch_definition_whole_dataframe("chunk")
        expectations = [
            getattr(gx.expectations, rule.expectation)(**rule.arguments, meta={"rule": rule.name}) for rule in rules
        ]
        # All at once: a suite that is added to a context is written out anew for every expectation it gets.
        self._suite = context.suites.add(gx.ExpectationSuite(name=table, expectations=expectations))
        # Great Expectations copies the whole frame for many an expectation, so it gets no column in vain.
        named = [rule.arguments.get(key) for rule in rules for key in ("column", "column_A", "column_B")]
        self._columns = [column for column in dict.fromkeys(named) if column is not None]

    def failures(self, frame: pd.DataFrame) -> Failures:
        """The rows of `frame` (by position) that fail each rule."""
        found = Failures()
        if frame.empty:
            return found
        checked = frame.filter(items=self._columns).assign(**{_ROW_NUMBER: np.arange(len(frame))})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = self._batches.get_batch(batch_parameters={"dataframe": checked})
            result = batch.validate(
                self._suite,
                result_format={
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": [_ROW_NUMBER],
                    "return_unexpected_index_query": False,
                },
            )
        for outcome in result.results:
            rule = outcome.expectation_config.meta["rule"]
            if outcome.success:
                continue
            if outcome.exception_info.get("raised_exception") or "unexpected_index_list" not in outcome.result:
                # A missing column or a wrong type hides here: that is a fault of ours, never of the data.
                raise RuntimeError(f"rule {rule} could not be evaluated: {outcome.exception_info}")
            indexes = outcome.result["unexpected_index_list"] or []
            found.rows[rule] = np.array(sorted({entry[_ROW_NUMBER] for entry in indexes}), dtype=np.int64)
        return found
