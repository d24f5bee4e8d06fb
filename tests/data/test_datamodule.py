"""The DataModule under plain and faked Trainers, and the codes of frozen layers."""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from hourglass.core.paths import Cell
from hourglass.data.datamodule import CodesDataModule, DataModule
from hourglass.training.cell_settings import resolve_cell
from hourglass.training.trainer import fit_resumable, make_module, make_trainer, pretrain


def opened(name: str, **settings) -> DataModule:
    """Return a DataModule after Lightning's set-up calls, without a Trainer."""
    data = DataModule(name, **settings)
    data.prepare_data()
    data.setup()
    return data


def under_trainer(data: DataModule, epoch: int = 0, rank: int = 0, world_size: int = 1):
    """Attach a fake Trainer in an epoch."""
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        global_rank=rank,
        world_size=world_size,
        current_epoch=epoch,
        num_devices=1,
    )
    return data


def served(loader) -> torch.Tensor:
    return torch.cat(list(loader))


def test_a_data_set_is_prepared_if_needed_and_only_once(own_images):
    data = opened(own_images)
    card = data.prepared.folder / "card.json"
    before = card.stat().st_mtime_ns
    data.prepare_data()
    assert card.stat().st_mtime_ns == before
    assert data.rows("train").x.dtype == torch.uint8  # images are scaled per batch


def train_order(name: str, seed: int, epoch: int, batch_size: int = 32) -> list:
    data = under_trainer(opened(name, seed=seed, batch_size=batch_size), epoch)
    return served(data.train_dataloader()).tolist()


def test_seed_and_epoch_decide_the_order_and_the_batch_size_does_not(own_table):
    assert train_order(own_table, 1, 2, batch_size=32) == train_order(own_table, 1, 2, 7)
    for seed, epoch in ((1, 3), (2, 2)):
        assert train_order(own_table, seed, epoch) != train_order(own_table, 1, 2)


def test_more_processes_than_validation_samples_are_rejected(own_table, refusal):
    data = under_trainer(DataModule(own_table), world_size=13)  # for 12 samples
    data.prepare_data()
    assert "the 13 processes" in refusal(data.setup)


class Autoencoder(pl.LightningModule):
    """A user's module that knows nothing of this package and records the samples it receives."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.Linear(2, 6))
        self.received: dict[str, list[list[float]]] = defaultdict(list)

    def training_step(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.received[f"epoch {self.current_epoch}"] += x.tolist()
        return torch.nn.functional.mse_loss(self.layers(x), x)

    def validation_step(self, x: torch.Tensor, batch_idx: int) -> None:
        self.received["validation"] += x.tolist()

    def test_step(self, x: torch.Tensor, batch_idx: int) -> None:
        self.received["test"] += x.tolist()

    def predict_step(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return x

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_a_plain_trainer_and_module_receive_every_split(own_table, tmp_path):
    module, data = Autoencoder(), DataModule(own_table, 16, seed=3)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
    )
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    predictions = trainer.predict(module, datamodule=data)
    assert predictions is not None

    def expected(split):
        return data.prepared.scaling(data.prepared.x(split)).tolist()

    assert torch.cat(predictions).tolist() == module.received["test"] == expected("test")
    assert module.received["validation"] == expected("validation") * 2  # once per epoch
    for epoch in range(2):
        assert module.received[f"epoch {epoch}"] == train_order(own_table, 3, epoch)
        assert sorted(module.received[f"epoch {epoch}"]) == sorted(expected("train"))


@pytest.mark.parametrize("model", ["denoising", "stacked"])
def test_streamed_data_trains_the_weights_of_resident_data(own_table, tmp_path, model):
    """CodesDataModule are computed per batch if they are streamed, which rounds differently."""
    settings = resolve_cell(Cell(own_table, model), (6,), 100)
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


def test_a_rank_holds_its_own_rows_only(own_table):
    data = under_trainer(opened(own_table), rank=1, world_size=3)
    expected = data.prepared.scaling(np.array(data.prepared.x("train")[1::3]))
    np.testing.assert_array_equal(data.rows("train").x, expected)


@pytest.mark.parametrize(
    ("residency", "expected"),
    [("auto", "device"), ("device", "device"), ("host", "device"), ("stream", "stream")],
)
def test_residency_is_the_place_of_the_rows(own_table, residency, expected):
    rows = opened(own_table, residency=residency).rows("train")
    assert rows.residency == expected
    assert isinstance(rows.x, torch.Tensor) == (expected == "device")


def test_data_too_large_for_memory_are_streamed_with_the_reason(own_table, monkeypatch, capfd):
    """The processes of a machine share its memory."""
    data = under_trainer(opened(own_table), world_size=4)
    nbytes = data.samples("train")[0][::4].nbytes // 2  # network inputs are float32
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8 * nbytes))
    for processes, expected in ((4, "stream"), (3, "device")):
        data.trainer.num_devices = processes
        assert data.rows("train").residency == expected
        message = capfd.readouterr().err
        assert message.startswith("own_table, train: ") if expected == "stream" else not message


@pytest.mark.parametrize("residency", ["device", "stream"])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2)])
def test_codes_are_those_of_the_samples_of_the_rank(own_table, residency, rank, world_size):
    data, layers = opened(own_table, residency=residency), torch.nn.Linear(6, 50)
    codes = under_trainer(
        CodesDataModule(data, layers), rank=rank, world_size=world_size
    ).val_dataloader()
    assert codes.rows.residency == residency
    expected = layers(served(data.val_dataloader())[rank::world_size])
    torch.testing.assert_close(served(codes), expected)


def test_an_unknown_residency_is_rejected(own_table, refusal):
    sentence = refusal(DataModule, own_table, residency="disk")
    assert "'disk'" in sentence
    assert "stream" in sentence
