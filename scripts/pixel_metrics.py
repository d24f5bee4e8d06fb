"""Measure time and memory of the pixel-level metrics, on maps in a file.

    python scripts/pixel_metrics.py                          # 1,000 maps of 256 x 256
    python scripts/pixel_metrics.py --maps 2000 --side 512

Half of the maps are of images with one to three defects.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from common import argument_parser, resident_bytes

from hourglass.evaluation.metrics.aupro import aupro
from hourglass.evaluation.metrics.pixels import PixelRanks


def main() -> None:
    """Write random maps, compute the metrics and print what they took."""
    parser = argument_parser(__doc__)
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        maps, mask, anomaly = _write(Path(folder), options.maps, options.side)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of writing the maps
        before = resident_bytes("VmRSS")
        start, busy = time.perf_counter(), time.process_time()
        ranks = PixelRanks.of(maps, mask, anomaly)
        area = aupro(ranks.above, ranks.at_least, ranks.normal, ranks.region)
        ranked = time.perf_counter() - start
        values = ranks.metrics()
        total, busy = time.perf_counter() - start, time.process_time() - busy
    print(f"{options.maps:,} maps of {options.side} x {options.side}, {maps.nbytes / 1e6:,.0f} MB")
    print(f"{len(ranks.score):,} defective pixels in {ranks.region.max() + 1:,} regions")
    print(
        f"AUPRO {area:.4f}: {ranked:.2f} s; all four metrics: {total:.2f} s ({busy:.2f} s of CPU)"
    )
    print(values)
    extra = resident_bytes("VmHWM") - before
    print(f"peak memory beyond the imports: {extra / 1e6:,.0f} MB")


def _write(folder: Path, count: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write maps and masks map by map; return them mapped, and the labels of the images."""
    rng = np.random.default_rng(0)
    maps = np.lib.format.open_memmap(folder / "maps.npy", "w+", np.float32, (count, side, side))
    mask = np.lib.format.open_memmap(folder / "mask.npy", "w+", bool, (count, side, side))
    anomaly = np.arange(count) % 2 == 1
    rows, columns = np.ogrid[:side, :side]
    for i in range(count):
        for _ in range(rng.integers(1, 4) if anomaly[i] else 0):
            middle, radius = rng.integers(side, size=2), rng.integers(side // 32, side // 8)
            mask[i] |= (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2
        maps[i] = rng.gamma(2, size=(side, side)) + 2 * mask[i]
    for array in (maps, mask):
        array.flush()
    return (
        *(np.load(folder / f"{name}.npy", "r", allow_pickle=False) for name in ("maps", "mask")),
        anomaly,
    )


if __name__ == "__main__":
    main()
