"""Outputs of `hourglass score` for images beside the score table: defects and pictures."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from hourglass.core.suggestions import counted
from hourglass.data.readers.chunks import Chunk
from hourglass.detection.defect_table import DefectTable
from hourglass.detection.defects import Defect
from hourglass.detection.detector import Detector
from hourglass.evaluation.alarm_pictures import AlarmPictures, possible_alarms


@dataclass
class DefectOutputs:
    """The table of defects, and the pictures of alarms if they are wanted."""

    table: DefectTable
    pictures: AlarmPictures | None

    @classmethod
    def of(
        cls,
        detector: Detector,
        path: Path,
        draw: bool,
        top: int | None = None,
        false_discovery_rate: float | None = None,
    ) -> Self | None:
        """Return the outputs, in the scratch folder of `path`; None without a pixel threshold."""
        if not (detector.pixels and detector.pixels.threshold):
            return None
        may_alarm = possible_alarms(detector, top, false_discovery_rate)
        pictures = AlarmPictures(detector, path.parent / "pictures", may_alarm) if draw else None
        return cls(DefectTable(path), pictures)

    def add(
        self, chunk: Chunk, scores: np.ndarray, maps: np.ndarray, defects: list[list[Defect]]
    ) -> None:
        """Add the images of a chunk with scores, (N,), maps, (N, H, W), and defects."""
        self.table.add(chunk.id, defects)
        if self.pictures is not None:
            self.pictures.add(chunk, scores, maps, np.array([len(each) for each in defects]))

    def finish(self, alarm: np.ndarray, path: Path) -> AlarmPictures | None:
        """Move the table to `path`; return the pictures of alarms, (N,) bool, if there are any."""
        self.table.close()
        shutil.move(self.table.path, path)
        if self.pictures is not None:
            self.pictures.keep(alarm)
        return self.pictures

    @property
    def sentence(self) -> str:
        """Return the numbers of defects and of images with one."""
        images = counted(self.table.images, "image")
        return f"{counted(self.table.defects, 'defect')} in {images}"
