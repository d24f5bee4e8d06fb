"""MNIST: handwritten digits are normal, Fashion-MNIST articles are anomalous."""

from pathlib import Path

from hourglass.data.base import DataSet, Raw
from hourglass.data.image_sets import ARTICLES, DIGITS, load_pair


class MNIST(DataSet):
    """MNIST digits (normal) and Fashion-MNIST articles such as shoes and shirts (anomalous).

    (N, 1, 28, 28) uint8; 70,000 of each. The published test parts form the test split.
    """

    def load(self, folder: Path) -> Raw:
        """Load MNIST and Fashion-MNIST from `folder`; download missing files."""
        return load_pair("mnist", DIGITS, ARTICLES, folder)
