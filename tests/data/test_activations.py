"""Vectors in files: the same rows as NumPy from every format, splits, scaling and bad input."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from pyarrow import parquet
from safetensors.torch import save_file

from hourglass.core.errors import UserError
from hourglass.data import Activations, DataSetModule
from hourglass.data.lazy_array import LazyArray
from hourglass.data.lazy_vectors import LazyVectors
from hourglass.data.prepare import prepare_data_set
from hourglass.data.prepared_data import SPLITS, Prepared
from tests.data.vectors import WRITERS

NONE = Path("none")  # the folder of raw files, which is not read


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)


def loaded(*arguments, **settings) -> np.ndarray:
    return np.asarray(Activations(*arguments, **settings).load(NONE).x)


def refused(*arguments, **settings) -> str:
    with pytest.raises(UserError) as caught:
        Activations(*arguments, **settings).load(NONE).x[:]
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_rows_of_numpy(name, tmp_path, x):
    raw = Activations(str(WRITERS[name](tmp_path, x))).load(NONE)
    np.testing.assert_array_equal(np.asarray(raw.x), x)
    assert not raw.anomaly.any()
    rows = np.array([99, 3, 4, 5, 50, -1])
    np.testing.assert_array_equal(raw.x[rows], x[rows])
    np.testing.assert_array_equal(raw.x[10:90:7], x[10:90:7])
    in_place = {"npy", "column_major", "safetensors", "shards"}
    assert isinstance(raw.x, LazyArray) == (name in in_place)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_types_become_float16_or_float32(dtype, tmp_path, x):
    values = (10 * x).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    found = loaded(str(tmp_path / "x.npy"))
    assert found.dtype == (np.float16 if dtype == np.float16 else np.float32)
    np.testing.assert_array_equal(found, values.astype(found.dtype))


def test_bfloat16_equals_torch(tmp_path, x):
    tensor = torch.from_numpy(1e3 * x).bfloat16()
    save_file({"h": tensor}, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(loaded(str(tmp_path)), tensor.float().numpy())


def test_tokens_and_positions_become_vectors_of_one_group(tmp_path):
    tokens = np.arange(5 * 3 * 4, dtype=np.float32).reshape(5, 3, 4)
    maps = np.arange(5 * 4 * 3 * 2, dtype=np.float32).reshape(5, 4, 3, 2)
    for array, flat in (
        (tokens, tokens.reshape(15, 4)),
        (maps, maps.transpose(0, 2, 3, 1).reshape(30, 4)),
    ):
        np.save(tmp_path / "x.npy", array)
        raw = Activations(str(tmp_path / "x.npy")).load(NONE)
        np.testing.assert_array_equal(np.asarray(raw.x), flat)
        np.testing.assert_array_equal(raw.x[[7, 2, 3]], flat[[7, 2, 3]])
        assert raw.group is not None
        np.testing.assert_array_equal(raw.group, np.repeat(np.arange(5), len(flat) // 5))


def test_vectors_of_a_group_are_in_one_split(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 8, 2)).astype(np.float32)
    np.savez(tmp_path / "x.npz", acts=x.reshape(-1, 2), image=np.repeat(np.arange(60), 8))
    np.save(tmp_path / "x.npy", x)
    for data_set in (
        Activations(str(tmp_path / "x.npz"), group="image"),
        Activations(str(tmp_path / "x.npy")),
    ):
        prepared = DataSetModule(data_set).prepared
        groups = [
            {int(name.rpartition("/")[2]) // 8 for name in prepared.split(split).id}
            for split in SPLITS
        ]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 60


@pytest.mark.parametrize("place", ["npz", "safetensors", "parquet", "beside"])
def test_labels_decide_about_anomalies(place, tmp_path, x):
    classes = np.arange(100) % 3
    expected, label = classes.astype(str), "kind"
    if place == "npz":
        np.savez(tmp_path / "x.npz", acts=x, kind=classes)
    elif place == "safetensors":  # with names, as `hourglass activations` writes
        tensors = {"acts": torch.from_numpy(x), "kind": torch.from_numpy(classes)}
        names = {"kind_names": '["0", "1", "2"]'}
        save_file(tensors, tmp_path / "x.safetensors", metadata=names)
    elif place == "parquet":
        columns = {f"d{i}": x[:, i] for i in range(6)}
        parquet.write_table(pa.table({"kind": classes, **columns}), tmp_path / "x.parquet")
    else:
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "labels.npy", expected)
        label = str(tmp_path / "labels.npy")
    raw = Activations(str(tmp_path), label=label, normal=[0, 1]).load(NONE)
    assert raw.x.shape == x.shape
    np.testing.assert_array_equal(raw.label, expected)
    np.testing.assert_array_equal(raw.anomaly, classes == 2)


def test_a_relative_path_goes_with_an_absolute_file_of_labels(tmp_path, x, monkeypatch):
    folder = tmp_path / "workspace/vectors"
    folder.mkdir(parents=True)
    np.save(folder / "x.npy", x)
    np.save(tmp_path / "labels.npy", np.arange(100) % 2)
    monkeypatch.chdir(tmp_path / "workspace")
    raw = Activations("vectors", label=str(tmp_path / "labels.npy"), normal=[0]).load(NONE)
    assert set(raw.source["files"]) == {"workspace/vectors/x.npy", "labels.npy"}
    assert raw.source["files"]["workspace/vectors/x.npy"].encode() in raw.x.identity()
    raw.x.save(tmp_path)


def test_splits_depend_on_the_seed_and_cover_all_vectors(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    first, same, other = (
        DataSetModule(Activations(str(tmp_path / "x.npy")), seed=seed).prepared
        for seed in (0, 0, 1)
    )
    ids = [np.concatenate([each.split(s).id for s in SPLITS]) for each in (first, same, other)]
    np.testing.assert_array_equal(ids[0], ids[1])
    assert (ids[0] != ids[2]).any()
    assert sorted(ids[0]) == sorted(f"x.npy/{i}" for i in range(100))


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_the_encoding_is_none_or_standard_without_limits(scaling, tmp_path, x):
    x[0, 0] = 5e4
    np.save(tmp_path / "x.npy", x)
    data = DataSetModule(Activations(str(tmp_path / "x.npy"), scaling=scaling), 1000)
    train = np.asarray(data.prepared.x("train")).astype(np.float64)
    expected = train if scaling == "none" else (train - train.mean(0)) / train.std(0)
    (batch,) = data.train_dataloader()
    rows = np.lexsort(expected.T), np.lexsort(batch.numpy().T)
    np.testing.assert_allclose(batch.numpy()[rows[1]], expected[rows[0]], rtol=1e-5, atol=1e-5)
    encoded = data.prepared.scaling(np.asarray(data.prepared.x("train")))
    np.testing.assert_allclose(encoded, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(data.prepared.scaling.inverse(encoded), train, rtol=1e-5, atol=1e-5)


def settings(workspace: Path, **init_args) -> None:
    content = {"class_path": "hourglass.data.activations.Activations", "init_args": init_args}
    (workspace / "configs/data/vectors.yaml").write_text(yaml.safe_dump(content))


def test_prepare_keeps_shards_in_place_and_notices_changes(workspace, x):
    np.save(workspace / "x.npy", x)
    settings(workspace, path="x.npy")
    folder = prepare_data_set("vectors")
    assert not list(folder.rglob("x.npy"))
    prepared = Prepared.open(folder)
    train = prepared.x("train")
    assert isinstance(train, LazyVectors)
    numbers = [int(name.rpartition("/")[2]) for name in prepared.split("train").id]
    np.testing.assert_array_equal(train[:], x[numbers])
    np.save(workspace / "x.npy", x + 1)
    with pytest.raises(UserError, match="changed since"):
        prepared.x("train")
    (workspace / "x.npy").unlink()
    with pytest.raises(UserError, match="missing"):
        prepared.x("train")


def test_prepare_packs_files_that_cannot_be_mapped(workspace, x):
    WRITERS["npz"](workspace, x)
    settings(workspace, path="x.npz")
    prepared = Prepared.open(prepare_data_set("vectors"))
    (workspace / "x.npz").unlink()
    numbers = [int(name.rpartition("/")[2]) for name in prepared.split("test").id]
    np.testing.assert_array_equal(prepared.x("test"), x[numbers])


def test_shards_of_different_widths_are_named(tmp_path, x):
    np.save(tmp_path / "a.npy", x)
    np.save(tmp_path / "b.npy", x[:, :4])
    message = refused(str(tmp_path))
    assert "b.npy have 4 numbers" in message
    assert "a.npy 6" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["npy", "npz", "shards", "parquet_lists"])
def test_a_value_that_is_not_finite_is_named_with_file_and_row(name, value, tmp_path, x):
    x[45, 3] = value
    message = refused(str(WRITERS[name](tmp_path, x)))
    assert ("vector 5 of" in message and "part-4.npy" in message) or "vector 45 of" in message


def test_a_value_beyond_float32_is_refused(tmp_path, x):
    np.save(tmp_path / "x.npy", x.astype(np.float64) * 1e300)
    assert "vector 0 of" in refused(str(tmp_path / "x.npy"))


def test_an_unknown_key_names_those_that_exist(tmp_path, x):
    np.savez(tmp_path / "x.npz", layer3=x, layer4=x)
    message = refused(str(tmp_path / "x.npz"), key="layer5")
    assert "layer3" in message
    assert "layer4" in message
    assert "name one in `key`" in refused(str(tmp_path / "x.npz"))
    np.testing.assert_array_equal(loaded(str(tmp_path / "x.npz"), key="layer4"), x)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_pickled_objects_are_never_loaded(suffix, tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    objects = np.array([[Attack(), Attack()]], object)
    if suffix == "npy":
        np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    else:
        np.savez(tmp_path / "x.npz", x=objects)
    assert "Python objects" in refused(str(tmp_path / f"x.{suffix}"))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.zeros((0, 4), np.float32), "without any vector"),
        (np.zeros(4, np.float32), "none of vectors"),
        (np.array([["a", "b"]]), "none of vectors"),
        (np.zeros((1, 1, 1, 1, 2), np.float32), "(N, D)"),
    ],
)
def test_arrays_without_vectors_are_refused(array, part, tmp_path):
    np.save(tmp_path / "x.npy", array)
    assert part in refused(str(tmp_path / "x.npy"))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".parquet"])
def test_damaged_and_truncated_files_are_refused(suffix, tmp_path, x):
    path = WRITERS["parquet_lists" if suffix == ".parquet" else suffix[1:]](tmp_path, x)
    content = path.read_bytes()
    for damaged in (b"", content[:40], content[: len(content) // 2]):
        path.write_bytes(damaged)
        assert path.name in refused(str(path))


def test_lists_of_different_lengths_are_refused(tmp_path):
    table = pa.table({"v": pa.array([[1.0, 2.0], [3.0]])})
    parquet.write_table(table, tmp_path / "x.parquet")
    assert "row 1 of" in refused(str(tmp_path / "x.parquet"))


def test_wrong_settings_are_refused(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(UserError, match="none, standard"):
        Activations("x.npy", scaling="robust")
    assert "names no array" in refused(str(tmp_path), normal="a")
    assert "has no array 'kind'" in refused(str(tmp_path), label="kind")
    (tmp_path / "empty").mkdir()
    assert "no file of vectors" in refused(str(tmp_path / "empty"))
    np.save(tmp_path / "labels.npy", np.arange(7))
    assert "7 values" in refused(str(tmp_path / "x.npy"), label=str(tmp_path / "labels.npy"))
