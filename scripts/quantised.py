"""Compare quantised codes with PCA and JPEG at equal bits; writes docs/benchmarks/quantised.md.

    python scripts/quantised.py            # needs HOURGLASS_DATA; half an hour on two cores
    python scripts/quantised.py --quick    # minutes; the page is in build/quantised-quick

Works in build/quantised and resumes there.
"""

from io import BytesIO
from math import log2
from pathlib import Path

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, enter, limit_epochs, prepare_missing, write_page
from papers.training import test_images
from PIL import Image
from principal_codecs import entropy_coded, fixed_length

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.detection.inference import batched
from hourglass.networks.quantised import Quantised
from hourglass.networks.weights import load
from hourglass.stages.train import train
from hourglass.studies.compression.codecs import encode_image, jpeg_scan_bytes

DATA = "mnist"
LEVELS = 8  # 3 bits per unit
SETTINGS = {"hidden": [512, 256], "levels": LEVELS}
FULL = ([64, 128, 256], 20)  # bits per image, epochs
QUICK = ([64], 1)
QUALITIES = (1, 2, 3, 4, 5, 10)


def main() -> None:
    """Train missing cells, measure, and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="one size and epoch")
    quick = parser.parse_args().quick
    sizes, epochs = QUICK if quick else FULL
    folder = ROOT / "build" / ("quantised-quick" if quick else "quantised")
    enter(folder)
    limit_epochs(DATA, epochs)
    prepare_missing(DATA)
    prepared, test = Prepared.open(prepared_folder(DATA)), test_images(DATA).numpy()
    reference = prepared.scaling(np.asarray(prepared.x("train")))
    networks = pd.DataFrame([_network(bits, test) for bits in sizes])
    fixed, coded = fixed_length(reference, test, sizes), entropy_coded(reference, test)
    page = _page(networks, fixed, coded, _jpeg(test), f"{len(reference):,} images, {epochs} epochs")
    write_page((folder if quick else ROOT / "docs/benchmarks") / "quantised.md", page)


def _network(budget: int, test: np.ndarray) -> dict[str, float]:
    """Train a cell of at most `budget` bits; return its bits and its error on test images."""
    units = int(budget / log2(LEVELS))
    cell = Cell(DATA, f"quantised_{units}")
    text = f"class_path: hourglass.models.quantised.Quantised\ninit_args:\n  latent_dim: {units}\n"
    text += "".join(f"  {name}: {value}\n" for name, value in SETTINGS.items())
    Path("configs/model", f"{cell.model}.yaml").write_text(text, encoding="utf-8")
    if not (cell.output("train") / "network.json").exists():
        print(f"{cell.name}: train", flush=True)
        train(cell.data, cell.model)
    network = load(cell.output("train"))
    assert isinstance(network, Quantised)
    return {
        "budget": budget,
        "bits": network.bits,
        "by_prior": float(batched(network, network.prior_bits, test).mean()),
        "error": float(np.square(batched(network, network, test) - test).mean()),
    }


def _jpeg(test: np.ndarray) -> pd.DataFrame:
    """Return the mean bits of JPEG files and of their scans, and the errors, per quality."""
    pixels = np.round(test[:, 0] * 255).astype(np.uint8)
    rows = []
    for quality in QUALITIES:
        files = [encode_image(Image.fromarray(x), "JPEG", quality=quality) for x in pixels]
        small = [
            len(encode_image(Image.fromarray(x), "JPEG", quality=quality, optimize=True))
            for x in pixels
        ]
        decoded = np.stack([_decoded(file) for file in files]) / 255
        rows.append(
            {
                "quality": quality,
                "file": 8 * float(np.mean(small)),
                "scan": 8 * float(np.mean([jpeg_scan_bytes(file) for file in files])),
                "error": float(np.square(decoded - test[:, 0]).mean()),
            }
        )
    return pd.DataFrame(rows)


def _decoded(file: bytes) -> np.ndarray:
    with Image.open(BytesIO(file)) as opened:
        return np.asarray(opened)


def _page(
    networks: pd.DataFrame,
    fixed: dict[int, float],
    coded: pd.DataFrame,
    jpeg: pd.DataFrame,
    training: str,
) -> str:
    rows = []
    for row in networks.to_dict("records"):
        fits = jpeg[jpeg["scan"] <= row["budget"]]
        rows.append(
            {
                "bits": row["budget"],
                "`quantised`, bits": row["bits"],
                "`quantised`": row["error"],
                "PCA": fixed[row["budget"]],
                "JPEG, scan": fits.error.min(),
                "`quantised`, bits by the prior": row["by_prior"],
                "PCA, entropy-coded to these bits": _at(coded, row["by_prior"]),
            }
        )
    table = (
        pd.DataFrame(rows)
        .astype({"bits": str})
        .to_markdown(index=False, floatfmt=("", ".0f", ".5f", ".5f", ".5f", ".1f", ".5f"))
    )
    files = jpeg.to_markdown(index=False, floatfmt=(".0f", ".0f", ".0f", ".5f"))
    return f"""# Quantised codes: error at equal bits

Made by `python scripts/quantised.py`: MNIST, `quantised` with {LEVELS} levels and the hidden
layers {SETTINGS["hidden"]}, trained on {training} each, seed 0. Errors are mean squared errors of
pixels in [0, 1] of the 10,000 official test images. Weights, principal directions and quantisation
tables are not counted, as they are the same for all images.

{table}

- `quantised` takes log2({LEVELS}) bits per unit, without entropy coding: at most `bits`.
- `PCA` is fitted to the same training images. Each bit goes to the component where it lowers the
  error most; the cells of a component are those of its best scalar quantiser (Lloyd and Max). It
  is not entropy-coded either.
- `by the prior`: the mean bits of an ideal entropy coder for the same codes, by the network's
  autoregressive prior, with the same error. PCA's counterpart has cells of one width for all
  components, the optimum of reverse water-filling at high rates, each decoded to its mean, and
  ideal code lengths by the cells' shares among training images.
- `JPEG, scan`: the lowest error of a quality whose scans, without headers and tables, have at most
  that many bits on average; nan if there is none. A file with its header is larger than all
  budgets:

{files}

`file` has the smallest Huffman tables of each image, `scan` the standard ones of all images.
"""


def _at(coded: pd.DataFrame, bits: float) -> float:
    """Return the error of a curve at a number of bits, between its points on logarithmic axes."""
    rows = coded.sort_values("bits")
    return float(np.exp(np.interp(np.log(bits), np.log(rows.bits), np.log(rows.error))))


if __name__ == "__main__":
    main()
