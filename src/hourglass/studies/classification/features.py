"""What a classifier sees of a sample: the code of a trained or a random encoder, or the sample."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from hourglass.data.scaling import Scaling
from hourglass.studies.classification.labelled_subsets import Labelled, Parts

if TYPE_CHECKING:
    from hourglass.networks import Network

Features: TypeAlias = Literal["pretrained", "random", "input"]


def network_of(kind: Features, folder: Path, seed: int) -> "Network | None":
    """Return the network of a cell's folder, with its own or random weights; None for the input."""
    from hourglass.networks.weights import load

    if kind == "input":
        return None
    return load(folder) if kind == "pretrained" else fresh(folder, seed)


def fresh(folder: Path, seed: int) -> "Network":
    """Return the network of a cell's folder with random weights, in evaluation mode."""
    import torch

    from hourglass.networks.weights import load

    trained = load(folder)
    torch.manual_seed(seed)
    network = type(trained)(**trained.init_args)
    return network.eval().requires_grad_(False)


def flat(network: "Network | None", scaling: Scaling, parts: Parts) -> Parts:
    """Return the parts with codes, or scaled and flattened inputs, as samples: (N, D) float32."""
    from hourglass.detection.scoring import latent_codes

    def part(samples: Labelled) -> Labelled:
        if network:
            return Labelled(latent_codes(network, samples.x, scaling), samples.y)
        return Labelled(scaling(np.asarray(samples.x)).reshape(len(samples), -1), samples.y)

    return Parts(part(parts.train), part(parts.validation), part(parts.test))
