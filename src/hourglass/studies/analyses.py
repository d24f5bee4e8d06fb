"""The analyses that `hourglass study` runs on a trained network.

| name | result | condition |
| --- | --- | --- |
| map | embeddings of codes in two dimensions, by PCA and t-SNE | none |
| compression | bytes per sample against reconstruction error | decodes samples |
| features | accuracy of classifiers on codes, on PCA and on the input | at least two classes |
| interpolation | classes of decoded images between two codes | images of at least two classes |
| neighbourhood | classes of decoded images around a code | images of at least two classes |
| generation | images decoded from random codes, or synthetic rows of a table | none |
| restoration | PSNR and SSIM of restored images | images |
| sparse_codes | sparsity, reconstruction, use and samples of units, probing | sparse codes |

Sparse codes are no code to compress or to draw at random, so compression, interpolation,
neighbourhood and generation do not apply to them, nor features to those of more than 1,024 units.
The analysis `sparse_codes` needs no labels and no references: it also runs where the others do not.
"""

from collections.abc import Callable
from functools import partial

from hourglass.data.prepared_data import Prepared
from hourglass.networks import Network
from hourglass.networks.sparse import SparseDictionary
from hourglass.studies.compression.analysis import analyse_compression
from hourglass.studies.generation.analysis import analyse_generation
from hourglass.studies.generation.synthetic_tables import analyse_synthetic_rows
from hourglass.studies.latent_codes.decoded_classes import (
    analyse_interpolation,
    analyse_neighbourhood,
)
from hourglass.studies.latent_codes.embedding import analyse_map
from hourglass.studies.latent_codes.features import analyse_features
from hourglass.studies.latent_space import LatentSpace
from hourglass.studies.reference_results import ReferenceResults
from hourglass.studies.restoration.analysis import analyse_restoration
from hourglass.studies.results import StudyResult
from hourglass.studies.sparse_codes.analysis import analyse_sparse_codes

MAX_SPARSE_FEATURES = 1024  # units of sparse codes that classifiers take as dense features


def select_analyses(
    space: LatentSpace, references: ReferenceResults
) -> dict[str, Callable[[], StudyResult]]:
    """Return the analyses that apply to a network and a data set, by name, in execution order."""
    is_sparse = space.network.has_sparse_codes
    decodes = space.network.reconstructs_samples
    analyses: dict[str, Callable[[], StudyResult]] = {"map": partial(analyse_map, space)}
    if decodes and not is_sparse:
        analyses["compression"] = partial(analyse_compression, space, references.rates)
    if space.labelled and not (is_sparse and space.network.latent_dim > MAX_SPARSE_FEATURES):
        analyses["features"] = partial(analyse_features, space, references.input_quality)
    if not decodes:
        return analyses
    if is_sparse:
        return analyses | _restoration(space, references)
    if classifier := references.classifier:
        analyses["interpolation"] = partial(analyse_interpolation, space, classifier.predict)
        analyses["neighbourhood"] = partial(analyse_neighbourhood, space, classifier.predict)
    if references.restoration is None:
        analyses["generation"] = partial(analyse_synthetic_rows, space)
    else:
        analyses["generation"] = partial(analyse_generation, space, classifier)
    return analyses | _restoration(space, references)


def _restoration(
    space: LatentSpace, references: ReferenceResults
) -> dict[str, Callable[[], StudyResult]]:
    if references.restoration is None:
        return {}
    return {"restoration": partial(analyse_restoration, space, references.restoration)}


def select_sparse_analyses(
    prepared: Prepared, network: Network, seed: int
) -> dict[str, Callable[[], StudyResult]]:
    """Return the analysis of sparse codes, by name, if the codes of a network are sparse."""
    if not isinstance(network, SparseDictionary):
        return {}
    return {"sparse_codes": partial(analyse_sparse_codes, prepared, network, seed)}
