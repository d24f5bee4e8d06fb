"""Features of a frozen backbone as training data, computed once and kept in a file."""

import hashlib
import json

import numpy as np
import torch
from torch import Tensor

from hourglass.core.atomic import atomic_file
from hourglass.core.paths import RUNS, root
from hourglass.core.progress_bar import ProgressBar
from hourglass.data.batches import Scaled
from hourglass.data.datamodule import DataModule
from hourglass.data.prepared_data import Prepared, Split
from hourglass.data.scaling import Encoding, Scaling, network_samples
from hourglass.data.tiling import Tiles
from hourglass.networks.feature import Feature, feature_sums, standardization

FOLDER = RUNS / ".features"  # may be deleted at any time
BATCH_SIZE = 16


class FeaturesDataModule(DataModule):
    """Data module of the standardised features, (F, h, w), that a network reconstructs.

    The network is standardised by the train split of `source`. The backbone computes the features
    of a split once: those of a prepared data set are kept in a file of the workspace, which cells
    and baselines share, others in memory.
    """

    def __init__(self, source: DataModule, network: Feature) -> None:
        super().__init__(source.data, source.batch_size, source.seed, source.residency)
        self.source = source
        self.network = network
        self._scaling: Scaling | None = None
        self._known: dict[Split, np.ndarray] = {}

    @property
    def prepared(self) -> Prepared:
        """Return the prepared images."""
        return self.source.prepared

    def prepare_data(self) -> None:
        """Compute the features of the splits that a training reads."""
        self.source.prepare_data()
        for name in ("train", "validation"):
            self._features(name)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return the shape of the features of an image, (F, h, w)."""
        return self.network.target_shape

    def samples(self, name: Split) -> tuple[np.ndarray, Encoding]:
        """Return the features of a split, (N, F, h, w), and the scaling that standardises them."""
        return self._features(name), self.scaling

    @property
    def scaling(self) -> Scaling:
        """Standardise the network by the train split; return its scaling of features."""
        if self._scaling is None:
            self.network.standardize_by(*statistics(self._features("train")))
            mean, std = (part.cpu().numpy() for part in (self.network.mean, self.network.std))
            self._scaling = Scaling("standardize", mean, std)
        return self._scaling

    def _features(self, name: Split) -> np.ndarray:
        if name not in self._known:
            x, scaling = self.source.samples(name)
            find = cached_features if type(self.source) is DataModule else compute_features
            inputs, title = network_samples(scaling, x), f"{self.data}, features of {name}"
            self._known[name] = find(self.network, inputs, scaling, title)
        return self._known[name]


def training_data(network: object, data: DataModule) -> DataModule:
    """Return the features that a network reconstructs as training data, or `data` itself."""
    is_images = not isinstance(data, FeaturesDataModule)
    return FeaturesDataModule(data, network) if isinstance(network, Feature) and is_images else data


def cached_features(
    network: Feature, x: np.ndarray | Tiles, scaling: Encoding, title: str
) -> np.ndarray:
    """Return the features of `compute_features` as a mapped file of the workspace.

    Its name is a digest of the images and the backbone.
    """
    path = root() / FOLDER / f"{_digest(network, x, scaling)}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            shape = (len(x), *network.target_shape)
            features = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            _compute(network, x, scaling, features, title)
            features.flush()
    return np.load(path, mmap_mode="r", allow_pickle=False)


def compute_features(
    network: Feature, x: np.ndarray | Tiles, scaling: Encoding, title: str
) -> np.ndarray:
    """Return unstandardised features of unscaled images or tiles, (N, F, h, w) float32."""
    features = np.empty((len(x), *network.target_shape), np.float32)
    _compute(network, x, scaling, features, title)
    return features


def statistics(features: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return mean and scale of each feature over images, (F, h, w) each, see `standardization`."""
    sums = torch.zeros(3, *features.shape[1:], dtype=torch.float64)
    for start in range(0, len(features), BATCH_SIZE):
        sums += feature_sums(torch.from_numpy(np.array(features[start : start + BATCH_SIZE])))
    return standardization(sums)


def _digest(network: Feature, x: np.ndarray | Tiles, scaling: Encoding) -> str:
    """Return a digest of the images, their scaling, the backbone and its layers."""
    backbone = network.maps.backbone
    settings = [
        backbone.name,
        backbone.layer_names,
        network.init_args["backbone_sha256"],
        network.target_shape,
        scaling.to_dict(),
        x.dtype.str,
        x.shape,
    ]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for start in range(0, len(x), BATCH_SIZE):
        digest.update(np.ascontiguousarray(x[start : start + BATCH_SIZE]).tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def _compute(
    network: Feature, x: np.ndarray | Tiles, scaling: Encoding, features: np.ndarray, title: str
) -> None:
    """Write the features of unscaled images to an array, (N, F, h, w)."""
    device = next(network.maps.parameters()).device
    scaled = Scaled(scaling, device)
    with ProgressBar(total=len(x), desc=title, unit=" images", leave=False) as bar:
        for start in range(0, len(x), BATCH_SIZE):
            batch = torch.from_numpy(np.array(x[start : start + BATCH_SIZE])).to(device)
            features[start : start + len(batch)] = network.maps(scaled(batch)).cpu().numpy()
            bar.update(len(batch))
