from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from hourglass.data.datamodule import Batches, DataModule
from hourglass.data.packed import Prepared
from hourglass.data.scaling import Scaling
from hourglass.stages.prepare import prepare

RNG = np.random.default_rng(0)
FEATURES = (RNG.normal(size=(103, 5)) * [1e-3, 1, 10, 1e3, 1e6] + 3).astype(np.float32)
IMAGES = RNG.integers(0, 17, (103, 3, 4, 2), dtype=np.uint8)
SCALINGS = {
    "standard": (FEATURES, Scaling.fit("standard", FEATURES)),
    "minmax": (FEATURES, Scaling.fit("minmax", FEATURES)),
    "none": (FEATURES, Scaling.fit("none", FEATURES)),
    "images": (IMAGES, Scaling.of_images(16)),
}
SIZES = pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (1, 9), (10, 5), (103, 10), (8, 9)])
ORDERS = pytest.mark.parametrize("seed", [None, 7], ids=["in order", "shuffled"])


def numbered(n: int, batch_size: int, seed: int | None = None, rank: int = 0, world_size: int = 1):
    """Return batches of samples that hold their own numbers, unscaled."""
    x = torch.arange(n, dtype=torch.float32)[:, None]
    scaling = Scaling.fit("none", x.numpy())
    return Batches(x, scaling, batch_size, rank, world_size, None if seed is None else lambda: seed)


def order(batches: Batches) -> list[int]:
    return torch.cat(list(batches)).flatten().int().tolist()


@SIZES
@ORDERS
def test_an_epoch_holds_every_sample_exactly_once(n, batch_size, seed):
    assert sorted(order(numbered(n, batch_size, seed))) == list(range(n))


@SIZES
@ORDERS
def test_all_batches_but_the_last_are_full(n, batch_size, seed):
    sizes = [len(batch) for batch in numbered(n, batch_size, seed)]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)


@SIZES
@ORDERS
def test_the_length_is_the_number_of_batches(n, batch_size, seed):
    batches = numbered(n, batch_size, seed)
    assert len(batches) == len(list(batches))


def test_without_shuffling_samples_keep_their_order():
    assert order(numbered(103, 10)) == list(range(103))


def test_the_same_seed_gives_the_same_order():
    assert order(numbered(103, 10, seed=1)) == order(numbered(103, 10, seed=1))


def test_another_seed_gives_another_order():
    assert order(numbered(103, 10, seed=1)) != order(numbered(103, 10, seed=2))


def test_the_order_does_not_depend_on_the_global_generator():
    orders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        orders.append(order(numbered(103, 10, seed=1)))
    assert orders[0] == orders[1]


def test_shuffling_leaves_the_global_generator_alone():
    torch.manual_seed(99)
    before = torch.get_rng_state()
    order(numbered(103, 10, seed=1))
    assert torch.equal(torch.get_rng_state(), before)


@SIZES
@ORDERS
@pytest.mark.parametrize("world_size", [2, 3])
def test_the_ranks_shares_together_are_the_batches_of_one_process(n, batch_size, seed, world_size):
    ranks = [numbered(n, batch_size, seed, rank, world_size) for rank in range(world_size)]
    whole = list(numbered(n, batch_size, seed))
    together = [torch.cat(shares) for shares in zip(*ranks, strict=True)]
    assert [batch.tolist() for batch in together] == [batch.tolist() for batch in whole]


def test_a_last_batch_smaller_than_the_ranks_leaves_their_losses_finite(build):
    module = build("undercomplete", (5,), latent_dim=2)
    for rank in range(2):  # 3 samples in batches of 2: one rank has no part in the second
        batches = Batches(
            torch.from_numpy(FEATURES[:3]), SCALINGS["standard"][1], 2, rank, 2, lambda: 0
        )
        assert all(module.training_step(batch).isfinite() for batch in batches)


@ORDERS
@pytest.mark.parametrize("kind", SCALINGS)
def test_batches_are_scaled_as_numpy_scales_to_the_bit(kind, seed):
    x, scaling = SCALINGS[kind]
    batches = Batches(
        torch.from_numpy(x), scaling, 10, shuffle=None if seed is None else lambda: seed
    )
    chosen = x if seed is None else x[order(numbered(len(x), 10, seed))]
    assert torch.cat(list(batches)).numpy().tobytes() == scaling(chosen).tobytes()


@pytest.mark.parametrize("kind", SCALINGS)
def test_batches_leave_the_samples_as_they_were(kind):
    x, scaling = SCALINGS[kind]
    resident = torch.from_numpy(x.copy())
    for batch in Batches(resident, scaling, 10):
        batch.zero_()
    np.testing.assert_array_equal(resident.numpy(), x)


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
        strategy=strategy, global_rank=0, world_size=world_size, current_epoch=epoch
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
    assert opened(own_images).train_dataloader().x.dtype == torch.uint8


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
