"""Fashion-MNIST: articles of clothing are normal, MNIST digits are anomalous."""

from pathlib import Path

from hourglass.data.base import DataSet, Raw
from hourglass.data.image_sets import ARTICLES, DIGITS, load_pair


class FashionMNIST(DataSet):
    """Fashion-MNIST articles of clothing (normal) and MNIST digits (anomalous).

    Images are (N, 1, 28, 28) uint8, 70,000 of each kind. The published test parts form the test
    split.
    """

    def load(self, folder: Path) -> Raw:
        """Load Fashion-MNIST and MNIST; download files missing below `folder`."""
        return load_pair("fashion_mnist", ARTICLES, DIGITS, folder)
