"""Compare sparse dictionaries in the format of SAELens with SAELens: codes and reconstructions.

    pip install sae-lens
    python scripts/sae_formats.py

Writes a dictionary of each sparsity, with a scaling of the inputs, and loads it with SAELens; and
reads what SAELens writes of each architecture, as inference model and as checkpoint of a training.
Prints the largest difference of codes and reconstructions, divided by the largest value.
"""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from common import argument_parser
from torch import Tensor

from hourglass.networks.sae_files import read_dictionary, write_dictionary
from hourglass.networks.sparse import SparseDictionary, Sparsity

INPUTS, UNITS, K, SAMPLES = 64, 512, 16, 1000
LIMIT = 1e-5


def main() -> None:
    """Print a table; exit with an error if a difference is above 1e-5."""
    argument_parser(__doc__).parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        rows = [*written(Path(folder)), *read(Path(folder))]
    table = pd.DataFrame(rows, columns=["file", "L0", "codes", "reconstructions"])
    print(table.to_markdown(index=False, floatfmt=".2g"))
    if table[["codes", "reconstructions"]].to_numpy().max() > LIMIT:
        raise SystemExit(f"a difference is above {LIMIT}")


def written(folder: Path) -> Iterator[tuple[str, float, float, float]]:
    """Yield the differences of the dictionaries that Hourglass writes, by sparsity."""
    from sae_lens import SAE

    rng = np.random.default_rng(0)
    offset, scale = rng.normal(size=INPUTS), rng.uniform(0.5, 2, INPUTS)
    x = torch.randn(SAMPLES, INPUTS, dtype=torch.float64)
    for sparsity in get_args(Sparsity):
        network = SparseDictionary((INPUTS,), UNITS, sparsity, K).eval()
        network.b_enc.normal_(0, 0.1)
        network.b_dec.normal_(0, 0.1)
        if sparsity not in ("l1", "topk"):
            network.threshold.uniform_(0.5, 1.5)
        write_dictionary(network, folder / sparsity, offset, scale, {})
        sae = SAE.load_from_disk(folder / sparsity)
        raw = x * torch.from_numpy(scale) + torch.from_numpy(offset)
        codes, z = sae.encode(raw.float()), network.encode(x.float())
        found = network.decode(z).double() * torch.from_numpy(scale) + torch.from_numpy(offset)
        yield f"written, {sparsity}", *_compare(codes, sae.decode(codes), z, found)


def read(folder: Path) -> Iterator[tuple[str, float, float, float]]:
    """Yield the differences of the dictionaries that SAELens writes, by architecture."""
    from sae_lens import SAE
    from sae_lens.registry import get_sae_training_class

    x = torch.randn(SAMPLES, INPUTS)
    settings: dict[str, dict[str, Any]] = {
        "standard": {},
        "topk": {"k": K},
        "batchtopk": {"k": K},
        "jumprelu": {"jumprelu_init_threshold": 0.8},
        "gated": {},
        "matryoshka_batchtopk": {"k": K, "matryoshka_widths": [64, UNITS]},
    }
    for name, extra in settings.items():
        kind, config = get_sae_training_class(name)
        trained = kind(config(d_in=INPUTS, d_sae=UNITS, **extra))
        for parameter in trained.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        if "topk_threshold" in trained.state_dict():
            trained.topk_threshold.fill_(0.1)
        trained.save_inference_model(folder / f"{name}_inference")
        sae = SAE.load_from_disk(folder / f"{name}_inference")
        codes = sae.encode(x)
        outputs = codes, sae.decode(codes)
        trained.save_model(folder / f"{name}_checkpoint")
        for form in ("inference", "checkpoint"):
            network = read_dictionary(folder / f"{name}_{form}")
            z = network.encode(x)
            yield f"{form}, {name}", *_compare(*outputs, z, network.decode(z))


def _compare(
    codes: Tensor, reconstruction: Tensor, z: Tensor, found: Tensor
) -> tuple[float, float, float]:
    """Return L0 and the largest differences of codes and reconstructions, relative."""
    return (
        float((z != 0).sum(1).double().mean()),
        float((codes - z).abs().max() / codes.abs().max()),
        float((reconstruction - found).abs().max() / reconstruction.abs().max()),
    )


if __name__ == "__main__":
    main()
