"""Fashion-MNIST: articles of clothing are normal, MNIST's digits are not."""

from pathlib import Path

from hourglass.data.base import DataSet, Raw
from hourglass.data.idx_images import ARTICLES, DIGITS, contrast, load_images


class FashionMNIST(DataSet):
    """Call all ten articles of clothing normal and show handwritten digits as anomalies.

    (N, 1, 28, 28) uint8; 70,000 of each. The publishers' test parts are for testing.
    """

    def load(self, folder: Path) -> Raw:
        """Return Fashion-MNIST and MNIST, downloaded below `folder` where they are missing."""
        return contrast("fashion_mnist", load_images(ARTICLES, folder), load_images(DIGITS, folder))
