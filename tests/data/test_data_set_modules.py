"""LightningDataModules without a workspace, under a plain Trainer."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

import hourglass.data
import hourglass.models
from hourglass.data.prepare import prepare_data_set
from hourglass.data.prepared_data import SPLITS, Prepared
from tests.data.conftest import REAL, real_data

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
BUNDLED = {
    "digits": hourglass.data.DigitsDataModule,
    "breast_cancer": hourglass.data.BreastCancerDataModule,
}
PUBLISHED = {
    hourglass.data.MNISTDataModule: (1, 28, 28),
    hourglass.data.FashionMNISTDataModule: (1, 28, 28),
    hourglass.data.EMNISTDataModule: (1, 28, 28),
    hourglass.data.CreditCardDataModule: (29,),
}


def fit(data: hourglass.data.DataModule, folder, **options) -> pl.Trainer:
    pl.seed_everything(0)
    trainer = pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        **options,
    )
    trainer.fit(hourglass.models.Undercomplete(data.sample_shape, latent_dim=4), datamodule=data)
    return trainer


@pytest.mark.parametrize("name", BUNDLED)
def test_a_plain_trainer_takes_a_bundled_data_set(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no workspace
    before = float(
        fit(BUNDLED[name](), tmp_path, max_epochs=1).callback_metrics["validation_error"]
    )
    after = float(fit(BUNDLED[name](), tmp_path, max_epochs=8).callback_metrics["validation_error"])
    assert after < before


@pytest.mark.parametrize("name", BUNDLED)
def test_splits_and_scaling_are_those_of_prepare(name, workspace):
    prepared, data = Prepared.open(prepare_data_set(name)), BUNDLED[name]()
    assert data.prepared.card["sha256"] == prepared.card["sha256"]
    for split in SPLITS:
        np.testing.assert_array_equal(data.prepared.split(split).label, prepared.split(split).label)
    batches = torch.cat(list(data.val_dataloader())).numpy()
    np.testing.assert_array_equal(batches, prepared.scaling(np.array(prepared.x("validation"))))


def test_an_own_table_is_a_data_set(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 3))
    pd.DataFrame(rows, columns=list("abc")).to_csv(tmp_path / "own.csv", index=False)
    data = hourglass.data.DataSetModule(hourglass.data.Table(str(tmp_path / "own.csv")), 8)
    assert data.sample_shape == (3,)
    assert len(next(iter(data.train_dataloader()))) == 8


@real_data
@pytest.mark.parametrize("kind", PUBLISHED, ids=lambda kind: kind.__name__)
def test_a_plain_trainer_takes_a_published_data_set(kind, tmp_path):
    data = kind(folder=REAL)
    assert data.sample_shape == PUBLISHED[kind]
    metrics = fit(data, tmp_path, max_epochs=1, limit_train_batches=20).callback_metrics
    assert np.isfinite(float(metrics["validation_error"]))


@pytest.mark.parametrize("package", ["data", "models"])
def test_public_names_are_imported_on_first_access(package):
    program = f"""
import sys, hourglass
package = hourglass.{package}
assert not {{"torch", "pandas", "pytorch_lightning"}} & sys.modules.keys()
assert set(package.__all__) <= set(dir(package))
for name in package.__all__:
    assert getattr(package, name) is vars(package)[name]
try:
    package.Absent
except AttributeError as error:
    assert "has no attribute 'Absent'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)
