"""The DataModule under plain and faked Trainers, and the codes of frozen layers."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from hourglass.core.paths import Cell
from hourglass.data.datamodule import Codes, DataModule
from hourglass.data.prepared_data import Prepared
from hourglass.stages.prepare import prepare
from hourglass.training.cell_settings import resolve_cell
from hourglass.training.trainer import fit_resumable, make_module, make_trainer, pretrain


def opened(name: str, **settings) -> DataModule:
    """Return a DataModule after Lightning's set-up calls, without a Trainer."""
    data = DataModule(name, **settings)
    data.prepare_data()
    data.setup()
    return data


def under_trainer(
    data: DataModule, epoch: int = 0, rank: int = 0, world_size: int = 1
) -> DataModule:
    """Attach a fake Trainer in an epoch."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        strategy=strategy,
        global_rank=rank,
        world_size=world_size,
        current_epoch=epoch,
        num_devices=1,
    )
    return data


def test_a_data_set_is_prepared_if_needed(workspace):
    assert torch.cat(list(opened("digits").train_dataloader())).shape[1:] == (1, 8, 8)


def test_a_prepared_data_set_is_not_prepared_again(own_table):
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
    served = torch.cat(list(getattr(data, loader)())).numpy()
    expected = prepared.scaling(prepared.split(split).x)
    np.testing.assert_array_equal(served[np.lexsort(served.T)], expected[np.lexsort(expected.T)])


def train_order(name: str, seed: int, epoch: int, batch_size: int = 32) -> list:
    data = under_trainer(opened(name, seed=seed, batch_size=batch_size), epoch)
    return torch.cat(list(data.train_dataloader())).tolist()


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
        self.received: dict[str, list[list[float]]] = {}

    def training_step(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self._loss(f"epoch {self.current_epoch}", x)

    def validation_step(self, x: torch.Tensor, batch_idx: int) -> None:
        if not self.trainer.sanity_checking:
            self._loss("validate", x)

    def test_step(self, x: torch.Tensor, batch_idx: int) -> None:
        self._loss("test", x)

    def predict_step(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.layers(x)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)

    def _loss(self, name: str, x: torch.Tensor) -> torch.Tensor:
        self.received.setdefault(name, []).extend(x.tolist())
        loss = torch.nn.functional.mse_loss(self.layers(x), x)
        self.log(f"{name} loss", loss, batch_size=len(x))
        return loss


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_a_plain_trainer_and_module_receive_every_split(own_table, tmp_path):
    module, data = Autoencoder(), DataModule(own_table, 16, seed=3)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, default_root_dir=tmp_path, enable_progress_bar=False
    )
    trainer.fit(module, datamodule=data)
    assert module.received["epoch 0"] == train_order(own_table, 3, 0)
    assert module.received["epoch 1"] == train_order(own_table, 3, 1)
    validation, test = (
        torch.cat(list(loader())).tolist()
        for loader in (opened(own_table).val_dataloader, opened(own_table).test_dataloader)
    )
    assert module.received.pop("validate") == validation * 2  # once per epoch
    trainer.validate(module, datamodule=data, verbose=False)
    assert module.received["validate"] == validation
    trainer.test(module, datamodule=data, verbose=False)
    assert module.received["test"] == test
    predictions = trainer.predict(module, datamodule=data)
    assert predictions is not None
    with torch.no_grad():
        expected = module.layers(torch.tensor(test))
    torch.testing.assert_close(torch.cat(predictions), expected)


@pytest.mark.parametrize("model", ["denoising", "stacked"])
def test_streamed_data_trains_the_weights_of_resident_data(own_table, tmp_path, model):
    """Codes are computed per batch if they are streamed, which rounds differently."""
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


def test_a_rank_holds_its_own_rows_only(own_table):
    data = under_trainer(opened(own_table), rank=1, world_size=3)
    np.testing.assert_array_equal(data.train_dataloader().rows.x, data.prepared.x("train")[1::3])


@pytest.mark.parametrize(
    ("residency", "expected"),
    [("auto", "device"), ("device", "device"), ("host", "device"), ("stream", "stream")],
)
def test_residency_decides_where_rows_are_held(own_table, residency, expected):
    rows = opened(own_table, residency=residency).train_dataloader().rows
    assert rows.residency == expected
    assert isinstance(rows.x, torch.Tensor) == (expected == "device")


def test_data_too_large_for_memory_is_streamed_with_the_reason(own_table, monkeypatch, capfd):
    data = opened(own_table)
    x, _ = data.samples("train")
    memory = SimpleNamespace(available=2 * x.nbytes)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert data.rows("train").residency == "stream"
    assert "own_table, train: " in capfd.readouterr().err
    memory.available += 1
    assert data.rows("train").residency == "device"
    assert capfd.readouterr().err == ""


def test_processes_of_one_machine_share_its_memory(own_table, monkeypatch):
    data = under_trainer(opened(own_table), world_size=4)
    nbytes = data.samples("train")[0][::4].nbytes
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8 * nbytes))
    for processes, expected in ((4, "stream"), (3, "device")):
        data.trainer.num_devices = processes
        assert data.rows("train").residency == expected


@pytest.mark.parametrize("residency", ["device", "stream"])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2)])
def test_codes_are_those_of_the_samples_of_the_rank(own_table, residency, rank, world_size):
    data, layers = opened(own_table, residency=residency), torch.nn.Linear(6, 50)
    codes = under_trainer(Codes(data, layers), rank=rank, world_size=world_size).val_dataloader()
    assert codes.rows.residency == residency
    expected = layers(torch.cat(list(data.val_dataloader()))[rank::world_size])
    torch.testing.assert_close(torch.cat(list(codes)), expected)


def test_an_unknown_residency_is_rejected(own_table, refusal):
    sentence = refusal(DataModule, own_table, residency="disk")
    assert "'disk'" in sentence
    assert "stream" in sentence
