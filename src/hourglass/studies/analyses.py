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
"""

from collections.abc import Callable
from functools import partial

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


def select_analyses(
    space: LatentSpace, references: ReferenceResults
) -> dict[str, Callable[[], StudyResult]]:
    """Return the analyses that apply to a network and a data set, by name, in execution order."""
    decodes = space.network.reconstructs_samples
    analyses: dict[str, Callable[[], StudyResult]] = {"map": partial(analyse_map, space)}
    if decodes:
        analyses["compression"] = partial(analyse_compression, space, references.rates)
    if space.labelled:
        analyses["features"] = partial(analyse_features, space, references.input_quality)
    if not decodes:
        return analyses
    if classifier := references.classifier:
        analyses["interpolation"] = partial(analyse_interpolation, space, classifier.predict)
        analyses["neighbourhood"] = partial(analyse_neighbourhood, space, classifier.predict)
    if references.restoration is None:
        analyses["generation"] = partial(analyse_synthetic_rows, space)
    else:
        analyses["generation"] = partial(analyse_generation, space, classifier)
        analyses["restoration"] = partial(analyse_restoration, space, references.restoration)
    return analyses
