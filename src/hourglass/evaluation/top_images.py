"""The images with the highest scores, and what is unusual about each as a heat map."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hourglass.core.atomic import atomic_folder
from hourglass.data.readers.chunks import Chunk
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import reconstructions
from hourglass.evaluation import figures
from hourglass.evaluation.figures import Group


@dataclass
class TopImages:
    """Hold the `most` images with the highest scores of a stream."""

    most: int
    seen: int = 0
    held: list[tuple[float, int, str, np.ndarray]] = field(default_factory=list)

    def add(self, portion: Chunk, scores: np.ndarray) -> None:
        """Take a portion's images into account, whose scores are (N,)."""
        order = np.argsort(-scores, kind="stable")[: self.most]
        new = [(-scores[i], self.seen + i, str(portion.id[i]), portion.x[i]) for i in order]
        self.held = sorted([*self.held, *new], key=lambda each: each[:2])[: self.most]
        self.seen += len(scores)

    def draw(self, folder: Path, detector: Detector) -> dict[int, str]:
        """Draw input, output and heat map of each into `folder`; return the files by number."""
        found: dict[int, str] = {}
        if not self.held:
            shutil.rmtree(folder, ignore_errors=True)  # of another table of this name
            return found
        scoring = detector.scoring
        with atomic_folder(folder) as temporary:
            for rank, (score, number, name, image) in enumerate(self.held, 1):
                x = image[None]
                output = reconstructions(scoring.network, x, scoring.scaling)
                caption = f"score {-score:.3g}"
                group = Group(
                    name, scoring.scaling(x), output, detector.contributions(x), [caption]
                )
                safe = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[-60:]
                file = f"{rank:04}-{safe}.png"
                figures.save(figures.samples([group], []), temporary / file)
                found[number] = str(folder / file)
        return found
