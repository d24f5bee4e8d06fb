"""The most suspicious images, each with its given and its suspected label."""

import numpy as np
from matplotlib.figure import Figure

COLUMNS = 10


def grid(images: np.ndarray, captions: list[str]) -> Figure:
    """Draw images (n, C, H, W) with pixels in [0, 1] in rows of ten, each below its caption."""
    rows = -(-len(images) // COLUMNS)
    height, width = images.shape[2:]
    size = (1.05 * COLUMNS, (1.05 * height / width + 0.3) * rows)
    figure = Figure(figsize=size, layout="constrained")
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in places:
        axes.axis("off")
    for axes, image, caption in zip(places, images, captions, strict=False):
        axes.imshow(np.clip(image.transpose(1, 2, 0), 0, 1), cmap="gray", vmin=0, vmax=1)
        # A dollar in a user's label is no mathematics.
        axes.set_title(caption, fontsize=7, pad=3, parse_math=False)
    return figure
