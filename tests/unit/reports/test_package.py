"""The public face of `reports` costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import reports


def test_importing_reports_loads_nothing_heavy():
    code = (
        "import sys, reports, studies.errors; "
        "print([m for m in ('matplotlib', 'pandas', 'numpy', 'typst', 'jinja2', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", reports.__all__)
def test_every_public_name_is_there(name):
    assert callable(getattr(reports, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = reports.nothing
