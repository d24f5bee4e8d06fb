"""Classes of the user's own modules and of installed plugins, named by class paths in settings."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hourglass.core.paths import SNAPSHOT, Cell
from hourglass.core.settings import params
from hourglass.core.trusted_imports import external_modules, import_trusted_module, is_trusted
from hourglass.core.yaml_config import build, import_class
from hourglass.data.base import DataSet
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import Scorer
from hourglass.networks.weights import load
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.prepare import prepare
from hourglass.stages.snapshot import CELL_STAGES, SCORING_STAGES, installed_code_changed, snapshot
from hourglass.stages.train import train
from tests.tracking.stored import rows
from tests.workspaces import DirectRecorder, environment, set_yaml

LAYERS = """
from hourglass.networks import Dense
class MyDense(Dense):
    "A network of the user."
"""
MODELS = """
'''Classes of the user.'''
from my_layers import MyDense
from hourglass.data.digits import Digits
from hourglass.detection.calibrators import Quantile
from hourglass.detection.scorers import ModelScore
from hourglass.models.base import LitAutoencoder

class MyVariant(LitAutoencoder):
    def __init__(self, sample_shape: list[int], latent_dim: int = 3, weight: float = 0.1) -> None:
        super().__init__(MyDense(sample_shape, latent_dim))
        self.weight = weight

    def penalty(self, x, z):
        return self.weight * z.square().mean()

class MyDigits(Digits): ...

class MyScorer(ModelScore):
    name = "mine"

class MyQuantile(Quantile):
    method = "mine"
"""
COMBINED = "hourglass.detection.scorers.Combined"


@pytest.fixture
def install(stage_folder, monkeypatch, forget_code) -> Iterator[Callable[[Path], Path]]:
    """Give a function that writes the user's modules to a folder on the path."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / "my_layers.py").write_text(LAYERS)
        (folder / "my_models.py").write_text(MODELS)
        monkeypatch.syspath_prepend(folder)
        forget_code()
        return folder

    yield write
    for name in ("my_models", "my_layers"):
        sys.modules.pop(name, None)
    monkeypatch.undo()


@pytest.fixture(params=["trusted_modules", "entry point"])
def source(request, stage_folder, install, forget_code) -> Path:
    """Give the folder of the user's modules, in src or installed, which are trusted."""
    if request.param == "trusted_modules":
        edit("params.yaml", trusted_modules=["my_models", "my_layers"])
        return install(stage_folder / "src")
    folder = install(stage_folder.parent / "site-packages")
    metadata = folder / "my_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    entry_points = "[hourglass.plugins]\nmine = my_models:MyVariant\nlayers = my_layers\n"
    (metadata / "entry_points.txt").write_text(entry_points)
    forget_code()
    return folder


def edit(path: str, **values: object) -> None:
    """Set top-level keys of a YAML file in the working folder."""
    for key, value in values.items():
        set_yaml(Path(path), key, value=value)


@pytest.fixture
def use_own_classes(stage_folder) -> None:
    """Name the user's classes in every settings file that may name a class."""
    edit("configs/model/mine.yaml", class_path="my_models.MyVariant", init_args={"weight": 0.2})
    edit("configs/data/digits.yaml", class_path="my_models.MyDigits")
    edit("configs/data/digits.yaml", model={}, training={"max_epochs": 1})
    part = {"class_path": "my_models.MyScorer"}
    standardized = {"class_path": "hourglass.detection.scorers.StandardizedError"}
    combined = {"class_path": COMBINED, "init_args": {"parts": [part, standardized]}}
    calibration = {"class_path": "my_models.MyQuantile", "init_args": {"q": 0.9}}
    edit("params.yaml", data=["digits"], models=["mine", "linear"])
    edit("params.yaml", score=combined, calibration=calibration)


def test_own_classes_are_trained_calibrated_and_loaded_from_mlflow_without_the_workspace(
    source, use_own_classes, stage_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("hourglass.stages.output.recording", DirectRecorder)
    prepare("digits")
    train("digits", "mine")
    calibrate_threshold("digits", "mine")
    cell = Cell("digits", "mine")
    assert type(load(cell.output("train"))).__name__ == "MyDense"
    detector = Detector.of_cell(cell)
    assert detector.threshold.method == "mine"
    assert "my_models.MyScorer" in str(detector.scoring.scorer.describe())

    (run,) = rows(stage_folder)
    (model,) = run.models
    code = f"import mlflow; print(mlflow.pyfunc.load_model('models:/{model}').metadata.model_id)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env=environment(MLFLOW_TRACKING_URI=f"sqlite:///{stage_folder}/mlflow.db"),
    )  # fmt: skip
    assert done.stdout.strip() == model, done.stderr


@pytest.fixture
def changed(forget_code) -> Callable[[], set[str]]:
    """Give a function that returns the files of the snapshot that changed since its last call."""
    before: dict[str, str] = {}

    def compare() -> set[str]:
        forget_code()
        snapshot()
        contents = {
            path.relative_to(SNAPSHOT).as_posix(): json.loads(path.read_text())
            for path in SNAPSHOT.rglob("*.json")
        }
        after = {name: content.get("code", str(content)) for name, content in contents.items()}
        names = {name for name in before | after if before.get(name) != after.get(name)}
        before.clear()
        before.update(after)
        return names

    return compare


def test_the_digest_of_a_cell_covers_its_own_modules(source, use_own_classes, changed, forget_code):
    changed()
    path = source / "my_models.py"
    path.write_text(f"# a comment\n{path.read_text()}\n\n")
    assert changed() == set()
    assert not installed_code_changed()

    path.write_text(path.read_text().replace("z.square()", "z.abs()"))
    forget_code()
    installed = source.name == "site-packages"
    assert installed_code_changed() == installed
    own = {f"digits-mine/{stage}.json" for stage in CELL_STAGES}
    scoring = {f"digits-linear/{stage}.json" for stage in ("calibrate-threshold", "evaluate")}
    others = {"data/digits.json", "baselines.json", "compare.json"}
    assert changed() == own | scoring | others | ({"installed.json"} if installed else set())


def test_the_digest_of_training_covers_classes_of_the_trainer_file(stage_folder, install, changed):
    edit("params.yaml", trusted_modules=["my_models"], data=["digits"], models=["linear"])
    edit("configs/trainer/cpu.yaml", callbacks=[{"class_path": "my_models.MyCallback"}])
    folder = install(stage_folder / "src")
    changed()
    (folder / "my_models.py").write_text(f"{MODELS}class MyCallback: ...\n")
    assert changed() == {"digits-linear/train.json"}


def test_the_digest_of_scoring_covers_a_scorer_within_another(stage_folder, install, changed):
    parts = [{"class_path": "my_models.MyScorer"}]
    edit("params.yaml", score={"class_path": COMBINED, "init_args": {"parts": parts}})
    edit("params.yaml", trusted_modules=["my_models"], data=["digits"], models=["linear"])
    path = install(stage_folder / "src") / "my_models.py"
    changed()
    path.write_text(path.read_text().replace("z.square()", "z.abs()"))
    assert changed() == {f"digits-linear/{name}.json" for name in SCORING_STAGES}


def test_an_untrusted_class_path_is_refused_with_the_way_out(stage_folder, install, refusal):
    install(stage_folder / "src")
    way_out = "to run its code, add 'my_models' to trusted_modules in params.yaml."
    assert refusal(import_class, "my_models.MyDigits", DataSet, "x").endswith(way_out)
    parts = {"parts": [{"class_path": "my_models.MyScorer"}]}
    config = {"class_path": COMBINED, "init_args": parts}
    assert refusal(build, config, Scorer, "x").endswith(way_out)
    edit("configs/data/digits.yaml", class_path="my_models.MyDigits")
    edit("params.yaml", data=["digits"])
    assert refusal(snapshot).endswith(way_out)
    with pytest.raises(ImportError, match="not trusted"):
        import_trusted_module("my_models")
    assert "my_models" not in sys.modules


def test_trust_covers_submodules_but_no_similar_names(stage_folder):
    edit("params.yaml", trusted_modules=["my_package.models"])
    assert is_trusted("my_package.models")
    assert is_trusted("my_package.models.ssim")
    for name in ("my_package", "my_package.models_2", "my_package.data", "os", "hourglass_2"):
        assert not is_trusted(name)
    values = {"a": ["my_package.models.X", {"b": "os.path"}], "c": "hourglass.data.digits.Digits"}
    assert external_modules(values) == {"my_package.models"}


@pytest.mark.parametrize("value", [5, "my_models", [5], ["a b"], ["../x"], {"a": 1}])
def test_trusted_modules_is_a_list_of_module_names(stage_folder, refusal, value):
    edit("params.yaml", trusted_modules=value)
    assert "trusted_modules" in refusal(is_trusted, "my_models")


def test_trusted_modules_is_optional(stage_folder):
    text = Path("params.yaml").read_text().replace("trusted_modules: []", "")
    Path("params.yaml").write_text(text)
    assert params().trusted_modules == []
    assert not is_trusted("my_models")


def test_a_missing_or_unsuitable_class_of_the_user_is_named(stage_folder, install, refusal):
    edit("params.yaml", trusted_modules=["my_models"])
    install(stage_folder / "src")
    for class_path in ("my_models.Nothing", "my_models.MyDense"):
        assert class_path in refusal(import_class, class_path, DataSet, "x")
