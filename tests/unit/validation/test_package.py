"""The public face: everything is there, loaded late, and errors are ValueErrors."""

import subprocess
import sys

import validation
from validation.errors import ValidationError


def test_every_public_name_loads():
    for name in validation.__all__:
        assert getattr(validation, name) is not None
    assert issubclass(ValidationError, ValueError)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, validation; print(sorted({'pandas', 'scipy', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
