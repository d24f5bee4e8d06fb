from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from hourglass.core.paths import Cell
from hourglass.data.datamodule import Codes, DataModule
from hourglass.data.prepared import Prepared
from hourglass.data.streaming import Resident, Streamed
from hourglass.stages.prepare import prepare
from hourglass.training.cell_settings import resolve_cell
from hourglass.training.trainer import fit_resumable, make_module, make_trainer, pretrain


def opened(name: str, **settings) -> DataModule:
    """Return a DataModule as Lightning opens one, without a Trainer."""
    data = DataModule(name, **settings)
    data.prepare_data()
    data.setup()
    return data


def under_trainer(data: DataModule, epoch: int = 0, world_size: int = 1) -> DataModule:
    """Return `data` as it is in an epoch of a Trainer."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        strategy=strategy, global_rank=0, world_size=world_size, current_epoch=epoch, num_devices=1
    )
    return data


def test_digits_are_prepared_where_they_were_not(workspace):
    assert torch.cat(list(opened("digits").train_dataloader())).shape[1:] == (1, 8, 8)


def test_what_is_prepared_is_not_prepared_again(own_table):
    card = prepare(own_table) / "card.json"
    before = card.stat().st_mtime_ns
    opened(own_table)
    assert card.stat().st_mtime_ns == before


def test_images_stay_uint8_in_the_resident_tensor(own_images):
    assert opened(own_images).train_dataloader().rows.x.dtype == torch.uint8


@pytest.mark.parametrize(
    ("loader", "split"),
    [
        ("train_dataloader", "train"),
        ("val_dataloader", "validation"),
        ("test_dataloader", "test"),
        ("predict_dataloader", "test"),
    ],
)
def test_each_loader_serves_its_split(own_table, loader, split):
    data = opened(own_table)
    prepared = Prepared.open(prepare(own_table))
    found = torch.cat(list(getattr(data, loader)())).numpy()
    expected = prepared.scaling(prepared.split(split).x)
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])


def train_order(name: str, seed: int, epoch: int, batch_size: int = 32) -> list:
    data = under_trainer(opened(name, seed=seed, batch_size=batch_size), epoch)
    return torch.cat(list(data.train_dataloader())).tolist()


def test_seed_and_epoch_decide_the_order_and_the_batch_size_does_not(own_table):
    assert train_order(own_table, 1, 2, batch_size=32) == train_order(own_table, 1, 2, 7)


@pytest.mark.parametrize(("seed", "epoch"), [(1, 3), (2, 2)])
def test_another_seed_or_epoch_gives_another_order(own_table, seed, epoch):
    assert train_order(own_table, seed, epoch) != train_order(own_table, 1, 2)


def test_more_processes_than_validation_samples_are_refused(own_table, refusal):
    data = under_trainer(DataModule(own_table), world_size=13)  # for 12 samples
    data.prepare_data()
    assert "the 13 processes" in refusal(data.setup)


class Collect(pl.LightningModule):
    """Note the samples of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epochs: list[list[list[float]]] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, x: torch.Tensor) -> torch.Tensor:
        self.epochs[-1] += x.tolist()
        return self.weight * x.mean()

    def validation_step(self, x: torch.Tensor) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_a_plain_trainer_sees_every_sample_once_an_epoch_in_another_order(own_table, tmp_path):
    module = Collect()
    pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, datamodule=DataModule(own_table, 16, seed=3))
    assert module.epochs == [train_order(own_table, 3, 0), train_order(own_table, 3, 1)]


@pytest.mark.parametrize("model", ["denoising", "stacked"])
def test_streamed_data_trains_the_weights_of_resident_data(own_table, tmp_path, model):
    """Codes of layers below, which streams make batch by batch, are equal within rounding."""
    settings = resolve_cell(Cell(own_table, model), (6,))
    networks = []
    for residency in ("device", "stream"):
        data = DataModule(own_table, 16, settings.seed, residency)
        data.prepare_data()
        module = make_module(settings)
        pretrain(settings, tmp_path / residency, None, module, data)
        fit_resumable(*make_trainer(settings, tmp_path / residency, None), module, data)
        networks.append(module.network.state_dict())
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if model == "stacked" else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(*networks, **tolerance)


def test_a_rank_holds_its_rows_and_no_others(own_table):
    data = under_trainer(opened(own_table), world_size=3)
    data.trainer.global_rank = 1
    x = data.prepared.x("train")
    np.testing.assert_array_equal(data.train_dataloader().rows.x, x[1::3])


@pytest.mark.parametrize(
    ("residency", "expected"), [("auto", Resident), ("device", Resident), ("stream", Streamed)]
)
def test_residency_decides_where_rows_are_kept(own_table, residency, expected):
    data = opened(own_table, residency=residency)
    assert isinstance(data.train_dataloader().rows, expected)


def test_data_too_large_for_memory_streams_and_says_why(own_table, monkeypatch, capfd):
    data = opened(own_table)
    x, _ = data.samples("train")
    available = SimpleNamespace(available=2 * x.nbytes)
    monkeypatch.setattr("psutil.virtual_memory", lambda: available)
    assert isinstance(data.train_dataloader().rows, Streamed)
    assert "own_table, train: " in capfd.readouterr().err
    available.available += 1
    assert isinstance(data.train_dataloader().rows, Resident)
    assert capfd.readouterr().err == ""


def test_processes_of_one_machine_share_its_memory(own_table, monkeypatch):
    data = under_trainer(opened(own_table), world_size=4)
    x, _ = data.samples("train", 0, 4)
    available = SimpleNamespace(available=8 * x.nbytes)
    monkeypatch.setattr("psutil.virtual_memory", lambda: available)
    for processes, expected in ((4, Streamed), (3, Resident)):
        data.trainer.num_devices = processes
        assert isinstance(data.train_dataloader().rows, expected)


def test_codes_that_do_not_fit_are_made_of_streamed_samples(own_table):
    data = opened(own_table, residency="stream")
    layers = torch.nn.Linear(6, 50)
    codes = Codes(data, layers).val_dataloader()
    assert isinstance(codes.rows, Streamed)
    expected = layers(torch.cat(list(data.val_dataloader())))
    torch.testing.assert_close(torch.cat(list(codes)), expected)


def test_each_rank_makes_the_codes_of_its_own_rows(own_table):
    data, layers = opened(own_table), torch.nn.Linear(6, 2)
    codes = under_trainer(Codes(data, layers), world_size=2)
    codes.trainer.global_rank = 1
    expected = layers(torch.cat(list(data.val_dataloader()))[1::2])
    torch.testing.assert_close(torch.cat(list(codes.val_dataloader())), expected)


def test_an_unknown_residency_is_refused(own_table, refusal):
    sentence = refusal(DataModule, own_table, residency="disk")
    assert "'disk'" in sentence
    assert "stream" in sentence
