"""The highest-scoring images of a stream, drawn with heat maps of their errors."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hourglass.core.atomic import atomic_folder
from hourglass.data.large_arrays import new_array
from hourglass.data.readers.chunks import Chunk
from hourglass.data.streaming import release_pages
from hourglass.detection.detector import Detector
from hourglass.evaluation import figures
from hourglass.evaluation.alarm_pictures import MASKS, OVERLAYS, AlarmPictures, safe_name
from hourglass.evaluation.figures import Group


@dataclass
class TopImages:
    """Keep the `capacity` images with the highest scores; large ones lie in files."""

    capacity: int
    count: int = 0  # number of samples added so far
    # Negative score, sample number, id and image of the highest scores so far.
    top: list[tuple[float, int, str, np.ndarray]] = field(default_factory=list)

    def add(self, chunk: Chunk, scores: np.ndarray) -> None:
        """Add the images of a chunk with their scores, (N,)."""
        order = np.argsort(-scores, kind="stable")[: self.capacity]
        new = [(-scores[i], self.count + i, str(chunk.id[i]), chunk.x[i]) for i in order]
        known = {number for _, number, *_ in self.top}
        top = sorted([*self.top, *new], key=lambda entry: entry[:2])[: self.capacity]
        self.top = [entry if entry[1] in known else (*entry[:3], _kept(entry[3])) for entry in top]
        self.count += len(scores)

    def draw(
        self, folder: Path, detector: Detector, alarms: AlarmPictures | None = None
    ) -> dict[str, dict[int, str]]:
        """Draw input, output and heat map per image, and add the pictures of alarms.

        Returns the file paths by sample number, of the columns heat_map and overlay.
        """
        paths: dict[int, str] = {}
        columns = {"heat_map": paths}
        if alarms:
            names = alarms.names.items()
            columns["overlay"] = {i: str(folder / OVERLAYS / name) for i, name in names}
        if not self.top and not columns.get("overlay"):
            shutil.rmtree(folder, ignore_errors=True)  # remove figures of an earlier score table
            return columns
        with atomic_folder(folder) as temporary:
            for rank, (negative, number, name, image) in enumerate(self.top, 1):
                group = Group.of(detector, name, image[None], [f"score {-negative:.3g}"])
                file = f"{rank:04}-{safe_name(name)}.png"
                figures.save(figures.samples([group], []), temporary / file)
                paths[number] = str(folder / file)
            if alarms and alarms.names:
                for name in (OVERLAYS, MASKS):
                    (alarms.folder / name).rename(temporary / name)
        return columns


def _kept(image: np.ndarray) -> np.ndarray:
    """Return a copy of an image of a chunk, so that the chunk is freed."""
    copy = new_array(image.shape, image.dtype)
    copy[:] = image
    release_pages(copy)
    return copy
