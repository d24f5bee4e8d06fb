"""Files of new samples for commands, and the tables that commands write."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table as CSV or Parquet, by the suffix of its path."""
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that a command wrote; labels are text."""
    is_csv = path.suffix == ".csv"
    return pd.read_csv(path, dtype={"label": str}) if is_csv else pd.read_parquet(path)


def write_npz(x: np.ndarray, folder: Path) -> Path:
    """Write samples as new.npz."""
    np.savez_compressed(folder / "new.npz", x=x)
    return folder / "new.npz"


def image_name(i: int) -> str:
    """Return the name of an image: every second one is in a subfolder."""
    return "more/" * (i % 2) + f"{i:03}.png"


def write_images(x: np.ndarray, folder: Path, white: int = 16) -> Path:
    """Write images, (N, C, H, W) from 0 to `white`, under their names; return the folder."""
    (folder / "more").mkdir(parents=True)
    for i, pixels in enumerate(np.round(x * (255.0 / white)).astype(np.uint8)):
        image = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        Image.fromarray(image).save(folder / image_name(i))
    return folder
