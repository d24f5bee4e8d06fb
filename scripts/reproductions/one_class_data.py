"""Image sets of ten classes, one of which is normal: the data of the one-class protocol."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, TypeAlias

import yaml

from hourglass.core.paths import CONFIGS, prepared_folder
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.image_sets import ARTICLES, DIGITS, load_images
from hourglass.data.prepared import Prepared
from hourglass.stages.prepare import prepare

Images: TypeAlias = Literal["mnist", "fashion_mnist"]
PUBLISHERS = {"mnist": DIGITS, "fashion_mnist": ARTICLES}
FRACTIONS = Fractions(train=0.9, validation=0.05, calibration=0.04, tuning=0.01, test=0.0)


class OneClass(DataSet):
    """Call class number `normal` of an image set normal, and the other nine anomalies.

    (N, 1, 28, 28) uint8; 70,000. The publisher's test part is for testing.
    """

    def __init__(self, images: Images, normal: int, fractions: Fractions = FRACTIONS) -> None:
        super().__init__(fractions=fractions)
        self.images: Images = images
        self.normal = normal

    def load(self, folder: Path) -> Raw:
        """Return all classes of the set, downloaded below `folder` where they are missing."""
        publisher = PUBLISHERS[self.images]
        raw = load_images(publisher, folder)
        return replace(raw, anomaly=raw.label != publisher.classes[self.normal])


def prepared(images: Images, normal: int) -> Prepared:
    """Return the data set of one normal class, prepared where that was not done before."""
    data = f"{images}_class_{normal}"
    if not prepared_folder(data).exists():
        init_args = {"images": images, "normal": normal, "fractions": asdict(FRACTIONS)}
        config = {"class_path": f"{__name__}.OneClass", "init_args": init_args}
        path = CONFIGS / "data" / f"{data}.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        prepare(data)
    return Prepared.open(prepared_folder(data))
