"""Command `activations`, and what `add`, the stages and `score` make of its files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torchvision.models import get_model

from hourglass.cli.activations import activations
from hourglass.cli.add import add
from hourglass.cli.score import score
from hourglass.cli.vector_plan import holds_vectors
from hourglass.core.errors import UserError
from hourglass.core.settings import data_config
from hourglass.core.yaml_config import build
from hourglass.data import Activations
from hourglass.data.base import DataSet, Raw
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.networks.weights import load
from tests.cli import IMAGES
from tests.data.vectors import WRITERS
from tests.networks.test_layer_outputs import hooked
from tests.stages.cells import no_figures
from tests.workspaces import FakeRecorder, calibrated, working_in

NONE = Path("none")
LAYER = "encoder.1"


def rows_of(folder: Path, **settings) -> Raw:
    return Activations(str(folder), key="activations", label="label", **settings).load(NONE)


def test_the_files_hold_what_a_hook_sees_with_labels_and_samples(here):
    folder = activations(*IMAGES, LAYER, batch_size=100, output=here / "acts")
    prepared = Prepared.open(Path("data/prepared") / IMAGES[0])
    network = load(Path("runs", *IMAGES, "train"))
    samples = [prepared.split(name) for name in SPLITS]
    x = np.concatenate([prepared.scaling(np.array(part.x)) for part in samples])
    raw = rows_of(folder)
    expected = hooked(network, LAYER, torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(np.asarray(raw.x), expected, rtol=1e-5, atol=1e-6)
    table = pd.read_csv(folder / "samples.csv", dtype={"label": str})
    np.testing.assert_array_equal(table.label, raw.label)
    np.testing.assert_array_equal(table.label, np.concatenate([p.label for p in samples]))
    np.testing.assert_array_equal(table.id, np.concatenate([p.id for p in samples]))
    np.testing.assert_array_equal(table.anomaly, np.concatenate([p.anomaly for p in samples]))
    assert json.loads((folder / "activations.json").read_text())["layer"] == LAYER


def test_shards_of_all_positions_of_a_torchvision_layer(here, monkeypatch):
    monkeypatch.setattr("hourglass.data.vector_writer.SHARD_BYTES", 100_000)
    torch.manual_seed(0)
    network = get_model("squeezenet1_1", weights=None).eval()
    save_file(network.state_dict(), here / "weights.safetensors")
    folder = activations(
        IMAGES[0],
        "torchvision:squeezenet1_1",
        "features.3",
        split="calibration",
        positions="all",
        weights=here / "weights.safetensors",
        size=32,
        batch_size=50,
        output=here / "acts",
    )
    raw = rows_of(folder, group="index")
    count = len(Prepared.open(Path("data/prepared") / IMAGES[0]).x("calibration"))
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert raw.x.shape == (49 * count, 128)
    np.testing.assert_array_equal(raw.group, np.repeat(np.arange(count), 49))


def test_wrong_names_are_refused_before_anything_is_written(here):
    for model, layer, part in (
        (IMAGES[1], "encoder.77", "available: encoder"),
        ("torchvision:resnet17", "layer1", "did you mean"),
        ("keras:resnet18", "layer1", "torchvision: or timm:"),
        ("torchvision:resnet18", "layer1", "needs weights"),
    ):
        with pytest.raises(UserError, match=part):
            activations(IMAGES[0], model, layer, output=here / "acts")
    (here / "acts").mkdir()
    (here / "acts/thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds no activations"):
        activations(*IMAGES, LAYER, output=here / "acts")
    assert [file.name for file in here.rglob("*")] == ["acts", "thesis.txt"]


@pytest.mark.parametrize("name", ["npy", "npz", "safetensors", "shards", "parquet_lists"])
def test_files_of_vectors_are_told_from_tables_and_images(name, tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    path = WRITERS[name](tmp_path, x)
    assert holds_vectors(path)
    assert holds_vectors(tmp_path)
    assert holds_vectors(tmp_path / f"*{path.suffix or '.npy'}")


def test_images_and_tables_are_no_vectors(tmp_path):
    images = np.zeros((5, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(5))
    np.savez(tmp_path / "rows.npz", x=np.zeros((5, 3)))
    WRITERS["parquet_columns"](tmp_path, np.zeros((5, 3)))
    assert not any(map(holds_vectors, tmp_path.iterdir()))
    assert not holds_vectors(tmp_path / "missing.npy")


def test_added_activations_are_trained_on_and_scored(workspace, capsys):
    rng = np.random.default_rng(0)
    mix, is_odd = rng.normal(size=(3, 12)), np.arange(900) % 10 == 0
    x = rng.normal(size=(900, 3)) @ mix + 0.1 * rng.normal(size=(900, 12))
    x[is_odd] += rng.normal(size=(is_odd.sum(), 12))
    source = workspace.parent / "acts"
    source.mkdir()
    for number, rows in enumerate(np.split(np.arange(900), 3)):
        tensors = {
            "activations": torch.from_numpy(x[rows].astype(np.float16)),
            "label": torch.from_numpy(is_odd[rows].astype(np.int64)),
        }
        names = {"label_names": '["usual", "odd"]'}
        save_file(tensors, source / f"part-{number}.safetensors", metadata=names)
    add("acts", source, normal="usual")
    config = data_config("acts")
    assert config["init_args"]["scaling"] == "standard"
    section = {key: config[key] for key in ("class_path", "init_args")}
    data_set: DataSet = build(section, DataSet, "acts")
    np.testing.assert_array_equal(data_set.load(NONE).anomaly, is_odd)
    with working_in(workspace, FakeRecorder()), no_figures():
        calibrated(("acts", "linear"))
        out = score("acts", "linear", source, workspace / "out.csv")
    table = pd.read_csv(out)
    assert table.score[is_odd].mean() > 3 * table.score[~is_odd].mean()
    assert table.id[450] == "part-1.safetensors/150"
    rounded = x.astype(np.float16)
    for name in ("npy", "npz", "parquet_lists", "parquet_columns"):  # the same vectors
        (workspace / name).mkdir()
        file = WRITERS[name](workspace / name, rounded.astype(np.float32))
        again = pd.read_csv(score("acts", "linear", file, workspace / "again.csv"))
        np.testing.assert_allclose(again.score, table.score, rtol=1e-6)
    np.save(workspace / "narrow.npy", rounded[:, :5])
    with pytest.raises(UserError, match="have 5 numbers, but those of the data set 12"):
        score("acts", "linear", workspace / "narrow.npy", workspace / "again.csv")


def test_a_workspace_of_sparse_variants_keeps_the_units(workspace, set_yaml):
    set_yaml("params.yaml", "models", value=["sparse"])
    np.save(workspace.parent / "acts.npy", np.random.default_rng(0).normal(size=(500, 4)))
    add("acts", workspace.parent / "acts.npy")
    written = yaml.safe_load(Path("configs/data/acts.yaml").read_text())
    assert written["init_args"] == {"path": "data/own/acts.npy", "scaling": "none"}
