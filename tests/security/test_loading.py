"""Loading a file executes no code: one payload per kind of file."""

import ast
import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from pyarrow import parquet
from torchvision.datasets import EMNIST

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.code_digest import code_digest
from hourglass.core.errors import UserError
from hourglass.core.yaml_config import build, read
from hourglass.data.image_sets import LETTERS, load_images
from hourglass.data.images import Images
from hourglass.data.prepared_data import Prepared
from hourglass.data.readers.numpy_files import npy_chunks
from hourglass.data.table import Table
from hourglass.detection.scorers import Scorer
from hourglass.networks import Dense
from hourglass.networks.weights import describe, load
from hourglass.training.checkpoints import last_epoch


def test_pickle_executes_the_payload(payload, tmp_path):
    """So the tests below can fail."""
    payload.mark = tmp_path / "another"
    pickle.loads(pickle.dumps(payload))
    assert payload.mark.exists()
    payload.mark.rmdir()


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_checkpoint_with_code_is_deleted(payload, tmp_path, capsys, form):
    path = tmp_path / "last.ckpt"
    if form == "torch":
        torch.save({"state_dict": {}, "callbacks": payload}, path)
    else:
        path.write_bytes(pickle.dumps(payload, protocol=2))
    assert last_epoch(path) is None
    assert not path.exists()
    assert "is not a checkpoint of Hourglass: training starts" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["x", "label", "anomaly", "id"])
def test_an_array_of_objects_is_not_read(payload, tmp_path, file):
    (tmp_path / "test").mkdir()
    for name in ("x", "label", "anomaly", "id"):
        np.save(tmp_path / "test" / f"{name}.npy", np.zeros(3))
    np.save(tmp_path / "test" / f"{file}.npy", np.array([payload, payload]), allow_pickle=True)
    with pytest.raises((UserError, ValueError)):
        Prepared(tmp_path, {}).split("test")


def test_an_archive_of_objects_is_refused(payload, tmp_path, refusal):
    np.savez(tmp_path / "own.npz", x=np.array([payload] * 3, dtype=object))
    assert "own.npz" in refusal(Images(str(tmp_path / "own.npz")).load, tmp_path)


def test_a_column_with_a_python_type_is_plain_data(payload, tmp_path, refusal):
    """Earlier versions of Arrow unpickled the metadata of such a column (CVE-2023-47248)."""
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(payload),
        b"PANDAS_ATTRS": pickle.dumps(payload),
    }
    field = pa.field("a", pa.binary(), metadata=metadata)
    table = pa.table([pa.array([pickle.dumps(payload)] * 3)], pa.schema([field], metadata))
    parquet.write_table(table, tmp_path / "own.parquet")
    assert "own.parquet" in refusal(Table(str(tmp_path / "own.parquet")).load, tmp_path)


@pytest.mark.parametrize("tag", ["apply:os.mkdir", "new:pathlib.Path.mkdir"])
def test_a_yaml_tag_builds_nothing(payload, tmp_path, refusal, tag):
    text = f"seed: !!python/object/{tag} [{payload.mark}]\n"
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert "not valid YAML" in refusal(read, tmp_path / "params.yaml", None)
    with pytest.raises(yaml.YAMLError):
        load_plain_yaml(text)


COMBINED = "hourglass.detection.scorers.Combined"
PATHS = ("{}.Evil", "{}.inner.Evil", "{}", "hourglass.{}.Evil", "hourglass..{}.Evil", ".{}.Evil")


@pytest.mark.parametrize("path", PATHS)
def test_no_file_can_name_an_untrusted_module(evil_module, tmp_path, refusal, path):
    """In settings neither as the class itself nor in nested values, which jsonargparse imports."""
    section = {"class_path": path.format(evil_module), "init_args": {}}
    description = describe(Dense((4,), 2)) | section
    (tmp_path / "network.json").write_text(json.dumps(description), encoding="utf-8")
    assert "train it again" in refusal(load, tmp_path)
    with pytest.raises((ImportError, AttributeError)):
        Scorer.from_description(section)
    assert "params.yaml" in refusal(build, section, Scorer, "params.yaml, score")
    deep = {"class_path": COMBINED, "init_args": {"parts": [section["class_path"]]}}
    for part in (section, section["class_path"], deep):
        combined = {"class_path": COMBINED, "init_args": {"parts": [part]}}
        assert "params.yaml" in refusal(build, combined, Scorer, "params.yaml, score")


@pytest.mark.parametrize("module", ["{}", "{}.inner"])
def test_the_digest_of_an_untrusted_module_does_not_import_it(evil_module, module):
    """To locate `evil.inner` by the import system would import `evil`."""
    assert len(code_digest(module.format(evil_module))) == 64


def test_the_import_guard_ends_with_the_check(evil_module, payload, refusal):
    refusal(build, {"class_path": COMBINED, "init_args": {"parts": ["evil.Evil"]}}, Scorer, "x")
    payload.mark.mkdir()
    with pytest.raises(FileExistsError):
        __import__(evil_module)
    payload.mark.rmdir()


def test_an_archive_writes_the_requested_files_only(tmp_path, refusal, monkeypatch):
    path = tmp_path / "raw" / LETTERS.folder / "gzip.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../out.gz", "/tmp/hourglass-out.gz", "gzip/../../../out.gz"):
            archive.writestr(name, b"outside")
    before = sorted(tmp_path.rglob("*"))
    assert "MD5 checksum" in refusal(load_images, LETTERS, tmp_path / "raw")
    monkeypatch.setattr(EMNIST, "md5", hashlib.md5(path.read_bytes()).hexdigest())
    assert "cannot be downloaded" in refusal(load_images, LETTERS, tmp_path / "raw")
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/hourglass-out.gz").exists()


# Calls that execute what they load, and calls that need an argument to be safe.
FORBIDDEN = {
    "eval", "exec", "pickle.load", "pickle.loads", "joblib.load", "yaml.load", "yaml.full_load",
    "yaml.unsafe_load", "os.system", "os.popen", "marshal.loads", "shelve.open", "pd.read_pickle",
    "pandas.read_pickle", "shutil.unpack_archive", "torch.jit.load", "tempfile.mktemp",
}  # fmt: skip
NEEDED = {"np.load": ("allow_pickle", "False"), "torch.load": ("weights_only", "True")}


def unsafe_lines(source: str) -> list[int]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if _is_unsafe(call)]


def _is_unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if (
        name in FORBIDDEN
        or name.endswith(".extractall")
        or keywords.get("shell", "False") != "False"
    ):
        return True
    return name in NEEDED and NEEDED[name] not in keywords.items()


def test_the_code_has_no_unsafe_calls(repository):
    paths = [*(repository / "src").rglob("*.py"), *(repository / "scripts").rglob("*.py")]
    lines = {path: unsafe_lines(path.read_text(encoding="utf-8")) for path in paths}
    assert {path: numbers for path, numbers in lines.items() if numbers} == {}


@pytest.mark.parametrize(
    ("code", "unsafe"),
    [
        ("np.load(f)", True),
        ("np.load(f, allow_pickle=False)", False),
        ("torch.load(f, weights_only=False)", True),
        ("subprocess.run(c, shell=True)", True),
        ("model.eval()", False),
        ("eval(x)", True),
    ],
)
def test_unsafe_calls_are_recognised(code, unsafe):
    assert unsafe_lines(code) == [1] * unsafe


def test_a_streamed_array_of_objects_is_refused(payload):
    """Streaming an archive bypasses the check of np.load."""
    content = io.BytesIO()
    np.lib.format.write_array(content, np.array([[payload], [payload]]), allow_pickle=True)
    content.seek(0)
    with pytest.raises(ValueError, match="object"):
        list(npy_chunks(content, lambda x: None))
