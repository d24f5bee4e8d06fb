"""Stage `references`: what the codes of a data set are compared with, measured once."""

from pathlib import Path

import numpy as np

from hourglass.core.atomic import write_json
from hourglass.core.paths import CONFIGS, prepared_folder, references_folder, valid_name
from hourglass.core.settings import params
from hourglass.core.yaml_config import refuse_unknown
from hourglass.data.prepared import Prepared
from hourglass.stages.output import stage_folder

LEAST = 4  # samples that a map, a mixture of codes, or a comparison of test samples takes


def references(data: str) -> Path:
    """Measure what every study of a data set needs, and no network of its cells.

    The input and PCA as features, JPEG and PCA as codes, classical filters on corrupted images, and
    a classifier trained on real images. Writes runs/<data>/references/; of a data set that is not
    studied (`study` in params.yaml) nothing but the reason.

    Args:
        data: a data set, by the name of its file in configs/data

    """
    prepared, own = Prepared.open(prepared_folder(data)), params()
    known = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))
    refuse_unknown(own.study, known, "params.yaml, study")
    reason = unstudied(prepared, own.study.get(data))
    with stage_folder("references", references_folder(data), valid_name(data)) as folder:
        if reason:
            write_json(folder / "references.json", {"because": reason})
        else:
            from hourglass.studies.measure_references import measure

            measure(prepared, own.seed, folder)
    return references_folder(data) / "references.json"


def unstudied(prepared: Prepared, asked: bool | None) -> str:
    """Return why a data set is not studied, in a sentence; nothing where it is."""
    if asked is False:
        return "params.yaml says so."
    if reason := _too_small(prepared):
        return reason
    if asked:
        return ""
    if prepared.card["feature_names"]:
        return "It is a table; `study` in params.yaml can ask for it."
    if len(np.unique(prepared.split("train").label)) < 2:
        return "Its normal images are of one class; `study` in params.yaml can ask for it."
    return ""


def _too_small(prepared: Prepared) -> str:
    """Return why a data set cannot be studied, in a sentence; nothing where it can."""
    train, test = prepared.split("train"), prepared.split("test")
    known = np.isin(test.label[~test.anomaly], train.label)
    if min(len(train.label), known.sum()) < LEAST:
        return f"A study takes {LEAST} training and {LEAST} normal test samples of their classes."
    if prepared.card["feature_names"]:
        return ""
    from hourglass.studies.restoration.tasks import SMALLEST

    if min(prepared.sample_shape[1:]) < SMALLEST:
        return f"A study takes images of {SMALLEST} pixels a side at least."
    return ""
