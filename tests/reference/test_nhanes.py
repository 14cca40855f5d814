"""Bioimpedance against DXA in NHANES 1999-2000 adults: figures computed once by independent means."""

import pyreadstat
import pytest

from validation.agree import agree
from validation.survey import imputed_errors, survey_errors


@pytest.fixture(scope="module")
def adults(shared):
    folder = shared / "data" / "nhanes_1999_2000"
    demo, bix, dxx = (pyreadstat.read_xport(folder / f"{name}.XPT")[0] for name in ("DEMO", "BIX", "DXX"))
    bix = bix[bix["BIAEXSTS"] == 1]
    dxx = dxx[(dxx["_MULT_"] == 1) & (dxx["DXITOT"] == 0)]
    table = demo.merge(bix, on="SEQN").merge(dxx, on="SEQN")
    table = table[(table["RIDAGEYR"] >= 18) & table["BIDPFAT"].notna()]
    return table.assign(sex=table["RIAGENDR"].map({1: "M", 2: "F"}))


def test_bioimpedance_against_dxa(adults):
    report = agree(adults, reference="DXDTOPF", tests=["BIDPFAT"], by=["sex"], resamples=2000)
    assert report.n == 1823
    bia = report.tests["BIDPFAT"]
    assert round(bia["bias"]["estimate"], 3) == -0.143
    assert round(bia["sd"], 3) == 5.061
    assert round(bia["limits"]["lower"]["estimate"], 3) == -10.063
    assert round(bia["limits"]["upper"]["estimate"], 3) == 9.777
    assert round(bia["mae"]["estimate"], 3) == 4.013
    assert round(bia["rmse"]["estimate"], 3) == 5.062
    assert round(bia["ccc"]["estimate"], 3) == 0.872
    groups = report.subgroups["sex"]["by_group"]
    assert round(groups["F"]["tests"]["BIDPFAT"]["mae"]["estimate"], 3) == 3.695
    assert round(groups["M"]["tests"]["BIDPFAT"]["mae"]["estimate"], 3) == 4.309


def test_survey_weights(adults):
    found = survey_errors(
        adults["BIDPFAT"],
        adults["DXDTOPF"],
        weights=adults["WTMEC2YR"],
        strata=adults["SDMVSTRA"],
        psu=adults["SDMVPSU"],
    )
    d = adults["BIDPFAT"] - adults["DXDTOPF"]
    assert found.bias.estimate == pytest.approx((adults["WTMEC2YR"] * d).sum() / adults["WTMEC2YR"].sum(), rel=1e-12)
    units = adults[["SDMVSTRA", "SDMVPSU"]].drop_duplicates()
    assert found.df == len(units) - units["SDMVSTRA"].nunique()
    plain = survey_errors(adults["BIDPFAT"], adults["DXDTOPF"])
    assert found.bias.high - found.bias.low > plain.bias.high - plain.bias.low


def test_imputed_references_are_pooled(shared, adults):
    """All five imputations of DXA for the adults who were measured or imputed; sums done by hand."""
    folder = shared / "data" / "nhanes_1999_2000"
    dxx = pyreadstat.read_xport(folder / "DXX.XPT")[0]
    wide = dxx[dxx["DXDTOPF"].notna()].pivot(index="SEQN", columns="_MULT_", values="DXDTOPF").dropna()
    demo, bix = (pyreadstat.read_xport(folder / f"{name}.XPT")[0] for name in ("DEMO", "BIX"))
    table = demo.merge(bix[bix["BIAEXSTS"] == 1], on="SEQN").set_index("SEQN")
    table = table[(table["RIDAGEYR"] >= 18) & table["BIDPFAT"].notna()]
    table = table.join(wide, how="inner")
    assert len(table) >= len(adults)
    references = table[[1, 2, 3, 4, 5]].to_numpy().T
    weights = table["WTMEC2YR"].to_numpy()
    found = imputed_errors(
        table["BIDPFAT"], references, weights=weights, strata=table["SDMVSTRA"], psu=table["SDMVPSU"]
    )
    gaps = table["BIDPFAT"].to_numpy() - references
    by_hand = (gaps @ weights / weights.sum()).mean()
    assert found.bias.pooled.estimate == pytest.approx(by_hand, rel=1e-12)
    # Imputation adds what differs between the five, and nothing where all were measured.
    measured = (references == references[0]).all(axis=0)
    assert 0 < (~measured).sum() < len(table) / 2
    assert 0 < found.mae.missing_information < 0.5
    assert found.bias.df < found.df
