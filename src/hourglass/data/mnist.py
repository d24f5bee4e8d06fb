"""MNIST: handwritten digits are normal, Fashion-MNIST's articles are not."""

from pathlib import Path

from hourglass.data.base import DataSet, Raw
from hourglass.data.idx_images import ARTICLES, DIGITS, contrast, load_images


class MNIST(DataSet):
    """Call all ten digits normal and show shoes, shirts and bags as anomalies.

    (N, 1, 28, 28) uint8; 70,000 of each. The publishers' test parts are for testing.
    """

    def load(self, folder: Path) -> Raw:
        """Return MNIST and Fashion-MNIST, downloaded below `folder` where they are missing."""
        return contrast("mnist", load_images(DIGITS, folder), load_images(ARTICLES, folder))
