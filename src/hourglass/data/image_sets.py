"""MNIST, Fashion-MNIST and EMNIST letters; incomplete sets are reported as subsets."""

import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.data.base import Raw
from hourglass.data.torchvision_files import damaged, find_or_download, read_idx


@dataclass(frozen=True)
class ImageSet:
    """Description of a published image set: four idx files of 28 x 28 images and their labels."""

    id: str  # first part of the sample ids
    title: str
    licence: str
    torchvision_name: str  # class in torchvision.datasets, and folder of the files
    prefixes: tuple[str, str]  # of file names: train, test
    counts: tuple[int, int]  # of the published images: train, test
    classes: tuple[str, ...]
    first_label: int = 0  # stored label of classes[0]
    transposed: bool = False  # images are stored column by column

    @property
    def folder(self) -> str:
        """Return the folder of the idx files, relative to the folder of raw files."""
        return f"{self.torchvision_name}/raw"

    @property
    def files(self) -> list[str]:
        """Return the file names: train images, train labels, test images, test labels."""
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        return [f"{prefix}-{kind}" for prefix in self.prefixes for kind in kinds]


DIGITS = ImageSet(
    id="mnist",
    title="MNIST",
    licence="MNIST: LeCun, Cortes, Burges (CC BY-SA 3.0)",
    torchvision_name="MNIST",
    prefixes=("train", "t10k"),
    counts=(60_000, 10_000),
    classes=tuple(string.digits),
)
ARTICLES = ImageSet(
    id="fashion_mnist",
    title="Fashion-MNIST",
    licence="Fashion-MNIST: Zalando SE (MIT)",
    torchvision_name="FashionMNIST",
    prefixes=("train", "t10k"),
    counts=(60_000, 10_000),
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)
LETTERS = ImageSet(
    id="emnist_letters",
    title="EMNIST letters",
    licence="EMNIST: Cohen et al. 2017, from NIST Special Database 19 (public domain)",
    torchvision_name="EMNIST",
    prefixes=("emnist-letters-train", "emnist-letters-test"),
    counts=(124_800, 20_800),
    classes=tuple(string.ascii_uppercase),
    first_label=1,
    transposed=True,
)


def load_pair(name: str, normal: ImageSet, anomalies: ImageSet, folder: Path) -> Raw:
    """Load two image sets as one data set; all images of `anomalies` are anomalous."""
    pair = [load_images(image_set, folder) for image_set in (normal, anomalies)]
    subsets = [raw.source["subset"] for raw in pair if "subset" in raw.source]
    return Raw(
        x=np.concatenate([raw.x for raw in pair]),
        label=np.concatenate([raw.label for raw in pair]),
        anomaly=np.repeat([False, True], [len(raw.x) for raw in pair]),
        id=np.concatenate([raw.id for raw in pair]),
        source={
            "name": name,
            "licence": "; ".join(raw.source["licence"] for raw in pair),
            "complete": not subsets,
            **({"subset": "; ".join(subsets)} if subsets else {}),
            "files": pair[0].source["files"] | pair[1].source["files"],
        },
        full_scale=255.0,
        official_test=np.concatenate([np.asarray(raw.official_test) for raw in pair]),
    )


def load_images(image_set: ImageSet, folder: Path) -> Raw:
    """Load the train images of a set, then its test images, all marked as normal.

    `x` is (N, 1, 28, 28) uint8. Files missing below `folder` are downloaded. Raises a UserError if
    the download fails, or if a file is incomplete or damaged.
    """
    raw_folder = folder / image_set.folder
    paths = find_or_download(image_set.torchvision_name, image_set.files, raw_folder)
    parts = [_read_part(image_set, *paths[:2]), _read_part(image_set, *paths[2:])]
    counts = [len(x) for x, _ in parts]
    label = np.concatenate([names for _, names in parts])
    subset = _subset(image_set, counts, label)
    ids = [
        f"{image_set.id}/{part}/{i}"
        for part, count in zip(("train", "test"), counts, strict=True)
        for i in range(count)
    ]
    return Raw(
        x=np.concatenate([x for x, _ in parts]),
        label=label,
        anomaly=np.zeros(len(label), dtype=bool),
        id=np.array(ids),
        source={
            "name": image_set.id,
            "licence": image_set.licence,
            "complete": not subset,
            **subset,
            "files": {path.relative_to(folder).as_posix(): sha256(path) for path in paths},
        },
        full_scale=255.0,
        official_test=np.repeat([False, True], counts),
    )


def _read_part(image_set: ImageSet, images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 1, 28, 28) upright images and the (N,) names of their classes."""
    x, y = read_idx(images), read_idx(labels)
    if x.shape[1:] != (28, 28):
        raise damaged(images, f"has the shape {x.shape} instead of (N, 28, 28)")
    if y.shape != x.shape[:1]:
        raise damaged(labels, f"has the shape {y.shape} for the {len(x):,} images of {images.name}")
    last = image_set.first_label + len(image_set.classes) - 1
    invalid = y[(y < image_set.first_label) | (y > last)]
    if len(invalid):
        allowed = f"{image_set.first_label} to {last}"
        raise damaged(labels, f"holds the label {invalid[0]} instead of {allowed}")
    upright = x.swapaxes(1, 2) if image_set.transposed else x
    return upright[:, None], np.array(image_set.classes)[y - image_set.first_label]


def _subset(image_set: ImageSet, counts: list[int], label: np.ndarray) -> dict[str, str]:
    """Return the entry of `Raw.source` that describes a subset, {} if all images are present."""
    if tuple(counts) == image_set.counts:
        return {}
    present = set(label)
    classes = [name for name in image_set.classes if name in present]
    limits = f" {classes[0]}-{classes[-1]}" if len(classes) < len(image_set.classes) else ""
    shown = f"{counts[0]:,} train and {counts[1]:,} test images"
    official = f"{image_set.counts[0]:,} and {image_set.counts[1]:,}"
    return {"subset": f"{image_set.title}{limits} subset ({shown} of {official})"}
