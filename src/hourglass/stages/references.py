"""Stage `references`: results of methods without a network, shared by all studies."""

from pathlib import Path

import numpy as np

from hourglass.core.atomic import write_json
from hourglass.core.paths import CONFIGS, prepared_folder, references_folder, valid_name
from hourglass.core.settings import params
from hourglass.core.yaml_config import check_keys
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import TiledScaling
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.stages.output import stage_folder

MIN_SAMPLES = 4  # per split; t-SNE, mixtures and the Frechet distance need them


def references(data: str) -> Path:
    """Measure reference methods without a network, once per data set, for comparison in studies.

    The methods are the input and PCA as features, JPEG and PCA as codecs, classical filters for
    image restoration, and a classifier trained on real images. Writes runs/<data>/references/. If
    the data set is not studied (`study` in params.yaml), the folder contains only the reason.
    Sparse codes are studied on any images, tables and vectors.

    Examples:
        hourglass references digits

    """
    prepared, config = Prepared.open(prepared_folder(data)), params()
    names = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))
    check_keys(config.study, names, "params.yaml, study")
    setting = config.study.get(data)
    reason, of_sparse = skip_reason(prepared, setting), sparse_skip_reason(prepared, setting)
    with stage_folder("references", references_folder(data), valid_name(data)) as folder:
        if reason:
            content = {"reason": reason, "reason_sparse": of_sparse}
            write_json(folder / "references.json", content)
        else:
            from hourglass.studies.reference_results import measure_references

            measure_references(prepared, config.seed, folder)
    return references_folder(data) / "references.json"


def skip_reason(prepared: Prepared, setting: bool | None) -> str:
    """Return the reason to skip the studies of a data set as a sentence, or "" to run them.

    `setting` is the value of `study` in params.yaml, or None if the data set is not listed there.
    """
    if reason := _general_skip_reason(prepared, setting):
        return reason
    train = prepared.split("train")
    is_table = bool(prepared.card["feature_names"])
    if not is_table:
        from hourglass.studies.restoration.tasks import MIN_SIDE_PIXELS

        if min(prepared.sample_shape[1:]) < MIN_SIDE_PIXELS:
            return f"A study needs images of at least {MIN_SIDE_PIXELS} pixels per side."
    if setting:
        return ""
    if is_table:
        return "It is a table; `study` in params.yaml can ask for it."
    if len(np.unique(train.label)) < 2:
        return "Its normal images are of one class; `study` in params.yaml can ask for it."
    return ""


def sparse_skip_reason(prepared: Prepared, setting: bool | None) -> str:
    """Return the reason to skip the study of sparse codes as a sentence, or "" to run it.

    It needs no labels and no setting.
    """
    if isinstance(prepared.scaling, SeriesEncoding):
        return "Sparse codes of windows of a time series are not studied."
    return _general_skip_reason(prepared, setting)


def _general_skip_reason(prepared: Prepared, setting: bool | None) -> str:
    """Return the reason to skip every study of a data set, or ""."""
    if setting is False:
        return "`study` in params.yaml is false for this data set."
    train, test = prepared.split("train"), prepared.split("test")
    testable = np.isin(test.label[~test.anomaly], train.label)
    if min(len(train.label), testable.sum()) < MIN_SAMPLES:
        return (
            f"A study needs {MIN_SAMPLES} training samples and {MIN_SAMPLES} normal test samples "
            "of the same classes."
        )
    if isinstance(prepared.scaling, TiledScaling):
        return "A study needs whole images, but those of this data set are scored in tiles."
    return ""
