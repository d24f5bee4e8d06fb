"""Compare quantised codes with PCA and JPEG at equal bits; writes docs/benchmarks/quantised.md.

    python scripts/quantised.py            # needs HOURGLASS_DATA; half an hour on two cores
    python scripts/quantised.py --quick    # minutes; the page is in build/quantised-quick

Works in build/quantised and resumes there.
"""

from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from common import (
    ROOT,
    argument_parser,
    enter,
    limit_epochs,
    prepare_missing,
    write_page,
    write_variant,
)
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
# Bits per image -> units, levels per unit, epochs and the other settings of the network.
DENSE = {"hidden": [512, 256]}
NETWORKS: dict[int, tuple[int, int, int, dict[str, Any]]] = {
    64: (21, 8, 20, DENSE),
    128: (42, 8, 20, DENSE),
    256: (64, 16, 10, {"architecture": "convolutional", "channels": [16, 32]}),
}
QUALITIES = (1, 3, 5, 10)
SCAN = "scan, own tables"


def main() -> None:
    """Train missing cells, measure, and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="one epoch for each network")
    quick = parser.parse_args().quick
    folder = ROOT / "build" / ("quantised-quick" if quick else "quantised")
    enter(folder)
    prepare_missing(DATA)
    prepared, test = Prepared.open(prepared_folder(DATA)), test_images(DATA).numpy()
    reference = prepared.scaling(np.asarray(prepared.x("train")))
    networks = pd.DataFrame([_network(bits, test, quick) for bits in NETWORKS])
    fixed = fixed_length(reference, test, list(NETWORKS))
    page = _page(networks, fixed, entropy_coded(reference, test), _jpeg(test), len(reference))
    write_page((folder if quick else ROOT / "docs/benchmarks") / "quantised.md", page)


def _network(budget: int, test: np.ndarray, quick: bool) -> dict[str, Any]:
    """Train a cell of at most `budget` bits; return its bits and its error on test images."""
    units, levels, epochs, settings = NETWORKS[budget]
    limit_epochs(DATA, 1 if quick else epochs)
    cell = Cell(DATA, f"quantised_{units}")
    init_args = {"latent_dim": units, "levels": levels, **settings}
    write_variant(cell.model, "hourglass.models.quantised.Quantised", init_args)
    if not (cell.output("train") / "network.json").exists():
        print(f"{cell.name}: train", flush=True)
        train(cell.data, cell.model)
    network = load(cell.output("train"))
    assert isinstance(network, Quantised)
    return {
        "budget": budget,
        "network": f"{settings.get('architecture', 'dense')}, {units} units of {levels} levels",
        "epochs": epochs,
        "bits": network.bits,
        "by_prior": float(batched(network, network.prior_bits, test).mean()),
        "error": float(np.square(batched(network, network, test) - test).mean()),
    }


def _jpeg(test: np.ndarray) -> pd.DataFrame:
    """Return the mean bits of JPEG files and of their scans, and the errors, per quality."""
    pixels = np.round(test[:, 0] * 255).astype(np.uint8)
    rows = []
    for quality in QUALITIES:
        options = {"quality": quality, "optimize": True}
        files = [encode_image(Image.fromarray(x), "JPEG", **options) for x in pixels]
        plain = [encode_image(Image.fromarray(x), "JPEG", quality=quality) for x in pixels]
        decoded = np.stack([_decoded(file) for file in files]) / 255
        sizes = {
            "file": [len(file) for file in files],
            "scan, standard tables": [jpeg_scan_bytes(file) for file in plain],
            SCAN: [jpeg_scan_bytes(file) for file in files],
        }
        bits = {name: 8 * float(np.mean(values)) for name, values in sizes.items()}
        error = float(np.square(decoded - test[:, 0]).mean())
        rows.append({"quality": quality, **bits, "error": error})
    return pd.DataFrame(rows)


def _decoded(file: bytes) -> np.ndarray:
    with Image.open(BytesIO(file)) as opened:
        return np.asarray(opened)


def _page(
    networks: pd.DataFrame,
    fixed: dict[int, float],
    coded: pd.DataFrame,
    jpeg: pd.DataFrame,
    train_images: int,
) -> str:
    rows = []
    for row in networks.to_dict("records"):
        fits = jpeg[jpeg[SCAN] <= row["budget"]]
        rows.append(
            {
                "bits": row["budget"],
                "network": row["network"],
                "epochs": row["epochs"],
                "`quantised`, bits": row["bits"],
                "`quantised`": row["error"],
                "PCA": fixed[row["budget"]],
                "JPEG": fits.error.min(),
                "`quantised`, bits by the prior": row["by_prior"],
                "PCA, entropy-coded to these bits": _at(coded, row["by_prior"]),
            }
        )
    table = (
        pd.DataFrame(rows)
        .astype({"bits": str})
        .to_markdown(index=False, floatfmt=("", "", "", ".0f", ".5f", ".5f", ".5f", ".1f", ".5f"))
    )
    files = jpeg.to_markdown(index=False, floatfmt=(".0f", ".0f", ".0f", ".0f", ".5f"))
    return f"""# Quantised codes: error at equal bits

Made by `python scripts/quantised.py`: MNIST, `quantised` on {train_images:,} images, seed 0. Dense
networks have the hidden layers {DENSE["hidden"]}, convolutional ones the default channels.
The architecture at 256 bits was chosen on these images: a dense network of 255 bits was above PCA.
Errors are mean squared errors of pixels in [0, 1] of the 10,000 official test images. Weights,
principal directions and quantisation tables are not counted, as they are the same for all images.

{table}

- `quantised` takes log2(levels) bits per unit, without entropy coding: at most `bits`.
- `PCA` is fitted to the same training images. Each bit goes to the component where it lowers the
  error most; the cells of a component are those of its best scalar quantiser (Lloyd and Max). It
  is not entropy-coded either.
- `by the prior`: the mean bits of an ideal entropy coder for the same codes, by the network's
  autoregressive prior, with the same error. PCA's counterpart has cells of one width for all
  components, the optimum of reverse water-filling at high rates, each decoded to its mean, and
  ideal code lengths by the cells' shares among training images.
- `JPEG`: the lowest error of a quality whose scans have at most that many bits on average; nan if
  there is none. Its headers and tables are not counted. Bits of JPEG by quality:

{files}

`file` is the whole file, with the smallest Huffman tables for each image; `{SCAN}` is that file
without header and tables, a bound that no decoder reaches, as the tables differ between images.
"""


def _at(coded: pd.DataFrame, bits: float) -> float:
    """Return the error of a curve at a number of bits, between its points on logarithmic axes."""
    rows = coded.sort_values("bits")
    return float(np.exp(np.interp(np.log(bits), np.log(rows.bits), np.log(rows.error))))


if __name__ == "__main__":
    main()
