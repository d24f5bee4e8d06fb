"""EMNIST: MNIST digits are normal, handwritten letters from EMNIST are anomalous."""

from pathlib import Path

from hourglass.data.base import DataSet, Raw
from hourglass.data.image_sets import DIGITS, LETTERS, load_pair


class EMNIST(DataSet):
    """MNIST digits (normal) and EMNIST letters, capital and small (anomalous).

    (N, 1, 28, 28) uint8; 70,000 digits and 145,600 letters. A capital and its small letter share
    a label, "A" to "Z". Some letters (I, L, O) look like digits. The published test sets form the
    test split.
    """

    def load(self, folder: Path) -> Raw:
        """Load MNIST and the EMNIST letters; download files missing below `folder`."""
        return load_pair("emnist", DIGITS, LETTERS, folder)
