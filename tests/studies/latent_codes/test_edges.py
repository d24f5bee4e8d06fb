"""Names and values that could mislead a study."""

import numpy as np
import pandas as pd
import pytest

from hourglass.core.atomic import write_json
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.compression.analysis import COLUMNS, analyse_compression, reference_rates
from hourglass.studies.generation.analysis import analyse_generation
from hourglass.studies.latent_space import LatentSpace
from hourglass.studies.reference_results import ReferenceResults
from hourglass.studies.restoration.analysis import analyse_restoration
from tests.studies.conftest import rewrite
from tests.studies.latent_codes.conftest import Truncation


def test_a_class_may_be_named_all(prepared):
    rewrite(prepared, lambda _, label: np.where(label == "b", "all", label), "label")
    space = LatentSpace.build(prepared, Truncation().eval(), seed=0)
    shape = {"sample_shape": [1, 4, 4], "latent_dim": 4, "channels": [4]}
    result = analyse_generation(space, RealClassifier(space.classes, **shape).eval())
    classes = result.tables["class_agreement"][:-1]
    assert list(classes["class"]) == ["a", "all", "c"]
    expected = np.average(classes.class_agreement, weights=classes.samples)
    assert result.metrics["class_agreement"] == pytest.approx(expected)


def test_the_psnr_of_a_perfect_copy_is_left_out_of_the_metrics(prepared, tmp_path):
    rewrite(prepared, lambda _, x: np.zeros_like(x), "x")
    space = LatentSpace.build(prepared, Truncation().eval(), seed=0)
    empty = pd.DataFrame(columns=["task", "level", "method", "PSNR", "SSIM"])
    metrics = analyse_restoration(space, empty).metrics
    assert "PSNR_masking" not in metrics
    assert metrics["SSIM_masking"] == 1
    assert np.isfinite(metrics["PSNR_noise_0.5"])
    write_json(tmp_path / "metrics.json", metrics)  # fails for values that are not finite


def test_integers_stay_integers_next_to_loaded_reference_results(space, tmp_path):
    reference_rates(space.prepared).to_csv(tmp_path / "rates.csv", index=False)
    write_json(tmp_path / "references.json", {"of_input": {}})
    table = analyse_compression(space, ReferenceResults.load(tmp_path).rates).tables["rates"]
    assert dict(table.dtypes.astype(str)) == COLUMNS
    assert table.to_csv().splitlines()[1].startswith("0,code,3,,1,1.0,")
