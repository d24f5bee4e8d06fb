"""What a study makes of names and numbers that could mislead it."""

import numpy as np
import pandas as pd
import pytest

from hourglass.core.atomic import write_json
from hourglass.data.prepared import SPLITS, Prepared
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.compression.analysis import compression
from hourglass.studies.compression.rate_distortion import COLUMNS, references
from hourglass.studies.generation.analysis import generated
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.references import References
from hourglass.studies.restoration.analysis import restoration_of
from tests.studies.latent_codes.conftest import Exact, reseal


def rewrite(prepared: Prepared, name: str, change) -> None:
    """Put something else in the place of one of a data set's arrays."""
    for split in SPLITS:
        path = prepared.folder / split / f"{name}.npy"
        np.save(path, change(np.load(path)))
    reseal(prepared)


def test_a_class_may_be_called_all(prepared):
    rewrite(prepared, "label", lambda label: np.where(label == "b", "all", label))
    space = LatentSpace.of(prepared, Exact().eval(), seed=0)
    shape = {"sample_shape": [1, 4, 4], "latent_dim": 4, "channels": [4]}
    found = generated(space, RealClassifier(space.classes, **shape).eval())
    table = found.tables["class_agreement"]
    of_classes = table[:-1]
    assert list(of_classes["class"]) == ["a", "all", "c"]
    expected = np.average(of_classes.class_agreement, weights=of_classes.samples)
    assert found.metrics["class_agreement"] == pytest.approx(expected)


def test_a_perfect_copy_has_no_psnr(prepared, tmp_path):
    rewrite(prepared, "x", np.zeros_like)
    space = LatentSpace.of(prepared, Exact().eval(), seed=0)
    none = pd.DataFrame(columns=["task", "level", "method", "PSNR", "SSIM"])
    found = restoration_of(space, none).metrics
    assert "PSNR_masking" not in found
    assert found["SSIM_masking"] == 1
    assert np.isfinite(found["PSNR_noise_0.5"])
    write_json(tmp_path / "metrics.json", found)  # which refuses what is not finite


def test_whole_numbers_stay_whole_beside_references_that_were_read_again(space, tmp_path):
    references(space.prepared).to_csv(tmp_path / "rates.csv", index=False)
    write_json(tmp_path / "references.json", {"of_input": {}})
    table = compression(space, References.load(tmp_path).rates).tables["rates"]
    assert dict(table.dtypes.astype(str)) == COLUMNS
    assert table.to_csv().splitlines()[1].startswith("0,code,3,,1,1.0,")
