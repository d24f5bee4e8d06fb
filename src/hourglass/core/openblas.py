"""Choice of the OpenBLAS kernels: the same on all x86-64 processors, for reproducible results."""

import os
import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")  # Linux
KERNELS = "HASWELL"  # for AVX2, which x86-64 processors have since 2013


def select_kernels(cpu_info: Path = CPU_INFO) -> None:
    """Make NumPy, SciPy and scikit-learn use the kernels for AVX2; call it before importing them.

    OpenBLAS otherwise chooses kernels by processor, and they differ in the last bits of a product.
    Does nothing if OPENBLAS_CORETYPE is set, or if the processor is not known to have AVX2.
    """
    if platform.machine() == "x86_64" and cpu_info.exists():
        flags = cpu_info.read_text(encoding="utf-8").partition("flags")[2].partition("\n")[0]
        if "avx2" in flags.split():
            os.environ.setdefault("OPENBLAS_CORETYPE", KERNELS)
