"""Load image sets that are published as four idx files, and set one against another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.data.base import Raw
from hourglass.data.download import fetch
from hourglass.data.idx import damaged, find_idx, read_pair


@dataclass(frozen=True)
class Publisher:
    """Describe four idx files: where they are, how to get them, what is in them."""

    id: str  # how its samples' ids start
    title: str
    licence: str
    folder: str  # below the data folder, as torchvision lays it out
    stems: tuple[str, str]  # of the file names: train, test
    counts: tuple[int, int]  # of images in the official files: train, test
    classes: tuple[str, ...]
    first_label: int = 0  # the stored label of classes[0]
    transposed: bool = False  # images are stored column by column
    mirrors: tuple[str, ...] = ()  # URLs that a file name completes
    md5: Mapping[str, str] = field(default_factory=dict)  # of the files as downloaded


DIGITS = Publisher(
    id="mnist",
    title="MNIST",
    licence="MNIST: LeCun, Cortes, Burges (CC BY-SA 3.0)",
    folder="MNIST/raw",
    stems=("train", "t10k"),
    counts=(60_000, 10_000),
    classes=tuple("0123456789"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    md5={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)

ARTICLES = Publisher(
    id="fashion_mnist",
    title="Fashion-MNIST",
    licence="Fashion-MNIST: Zalando SE (MIT)",
    folder="FashionMNIST/raw",
    stems=("train", "t10k"),
    counts=(60_000, 10_000),
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    md5={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)


def file_names(stem: str) -> tuple[str, str]:
    """Return the names of the images' and the labels' file, not gzipped."""
    return f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"


def contrast(name: str, normal: Raw, anomalies: Raw) -> Raw:
    """Return both sets as one, `anomalies` marked as such."""
    both = (normal, anomalies)
    subsets = [raw.source["subset"] for raw in both if "subset" in raw.source]
    source = {
        "name": name,
        "licence": "; ".join(raw.source["licence"] for raw in both),
        "complete": not subsets,
        **({"subset": "; ".join(subsets)} if subsets else {}),
        "files": normal.source["files"] | anomalies.source["files"],
    }
    return Raw(
        x=np.concatenate([raw.x for raw in both]),
        label=np.concatenate([raw.label for raw in both]),
        anomaly=np.repeat([False, True], [len(raw.x) for raw in both]),
        id=np.concatenate([raw.id for raw in both]),
        source=source,
        full_scale=255.0,
        official_test=np.concatenate([np.asarray(raw.official_test) for raw in both]),
    )


def load_images(publisher: Publisher, folder: Path) -> Raw:
    """Return the publisher's train part and, after it, the test part, all of it as normal.

    `x` is (N, 1, 28, 28) uint8. Files that are missing below `folder` are downloaded there. A
    UserError where that fails or a file is damaged.
    """
    paths = [
        (_find(publisher, folder, images), _find(publisher, folder, labels))
        for images, labels in map(file_names, publisher.stems)
    ]
    parts = [_read(publisher, *pair) for pair in paths]
    counts = [len(x) for x, _ in parts]
    label = np.concatenate([names for _, names in parts])
    subset = _missing(publisher, counts, label)
    rows = [(part, i) for part, n in zip(("train", "test"), counts, strict=True) for i in range(n)]
    return Raw(
        x=np.concatenate([x for x, _ in parts]),
        label=label,
        anomaly=np.zeros(len(label), dtype=bool),
        id=np.array([f"{publisher.id}/{part}/{i}" for part, i in rows]),
        source={
            "name": publisher.id,
            "licence": publisher.licence,
            "complete": not subset,
            **subset,
            "files": {p.relative_to(folder).as_posix(): sha256(p) for pair in paths for p in pair},
        },
        full_scale=255.0,
        official_test=np.repeat([False, True], counts),
    )


def _find(publisher: Publisher, folder: Path, name: str) -> Path:
    found = find_idx(folder / publisher.folder / name)
    if found is not None:
        return found
    zipped = f"{name}.gz"
    urls = [mirror + zipped for mirror in publisher.mirrors]
    return fetch(f"{publisher.folder}/{zipped}", folder, urls, publisher.md5.get(zipped))


def _read(publisher: Publisher, images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 1, 28, 28) upright images and the N names of their classes."""
    x, y = read_pair(images, labels)
    if x.shape[1:] != (28, 28):
        raise damaged(images, f"holds images of {x.shape[1]} x {x.shape[2]} where 28 x 28 belong")
    last = publisher.first_label + len(publisher.classes) - 1
    strange = y[(y < publisher.first_label) | (y > last)]
    if len(strange):
        allowed = f"{publisher.first_label} to {last}"
        raise damaged(labels, f"holds the label {strange[0]} where {allowed} belong")
    upright = x.swapaxes(1, 2) if publisher.transposed else x
    return upright[:, None], np.array(publisher.classes)[y - publisher.first_label]


def _missing(publisher: Publisher, counts: list[int], label: np.ndarray) -> dict[str, str]:
    """Return what `Raw.source` has to say where these are not all of the official images."""
    if tuple(counts) == publisher.counts:
        return {}
    present = set(label)
    inside = [name for name in publisher.classes if name in present]
    some = f" {inside[0]}-{inside[-1]}" if len(inside) < len(publisher.classes) else ""
    held = f"{counts[0]:,} train and {counts[1]:,} test images"
    due = f"{publisher.counts[0]:,} and {publisher.counts[1]:,}"
    return {"subset": f"{publisher.title}{some} subset ({held} of {due})"}
