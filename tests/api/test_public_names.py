"""The names of the package `hourglass`, which are imported on first access."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import hourglass


def test_the_version_is_that_of_the_distribution():
    assert hourglass.__version__ == version("hourglass")


def test_dir_lists_public_names_before_their_first_access():
    assert set(hourglass.__all__) <= set(dir(hourglass))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'autoencoder'"):
        hourglass.autoencoder  # noqa: B018


def test_the_import_of_the_package_imports_no_other_distribution():
    program = """
import sys
before = set(sys.modules)
import hourglass
imported = {name.partition(".")[0] for name in set(sys.modules) - before}
sys.exit(str(imported - sys.stdlib_module_names - {"hourglass"} or ""))
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.stderr.strip() == ""
