"""OpenBLAS kernels: the same for all processors that have AVX2."""

import os
import subprocess
import sys

import pytest

from hourglass.core.openblas import select_kernels


@pytest.mark.parametrize(
    ("flags", "kernels"),
    [("sse4_2 avx2", "HASWELL"), ("avx2 avx512f", "HASWELL"), ("sse4_2", None)],
)
def test_the_kernels_do_not_depend_on_avx512(flags, kernels, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\nbugs\t\t: none\n")

    select_kernels(cpu_info)

    assert os.environ.get("OPENBLAS_CORETYPE") == kernels


def test_the_choice_of_the_user_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SKYLAKEX")
    program = "import hourglass, os; print(os.environ['OPENBLAS_CORETYPE'])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "SKYLAKEX"
