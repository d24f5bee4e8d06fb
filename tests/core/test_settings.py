from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
import yaml

from hourglass.core.paths import Cell
from hourglass.core.settings import Acceleration, data_config, params
from hourglass.core.yaml_config import construct, import_class, read, resolve
from hourglass.data.base import DataSet
from hourglass.detection.calibrators import Quantile
from hourglass.detection.calibrators.from_settings import make_calibrator
from hourglass.stages.prepare import prepare
from hourglass.training.cell_settings import CellSettings, TrainingPlan, resolve_cell
from hourglass.training.trainer import make_trainer
from hourglass.training.trainer_file import trainer_config

TRAINERS = sorted(
    path.stem for path in (Path(__file__).parents[2] / "configs/trainer").glob("*.yaml")
)
DIGITS, DENOISING, CPU = (
    f"configs/{name}.yaml" for name in ("data/digits", "model/denoising", "trainer/cpu")
)
CELL, SPACE = "configs/cell/digits-denoising.yaml", "configs/tune/space/default.yaml"
SHAPE = (1, 8, 8)


def read_settings(data: str = "digits", model: str = "denoising") -> CellSettings:
    """Read every settings file of a cell as its stages do, without training."""
    make_calibrator(params().calibration)
    settings = resolve_cell(Cell(data, model), SHAPE, 100)
    prepare(data)
    return settings


def test_the_settings_of_every_variant_suit_every_data_set(workspace, data_name, variant):
    settings = resolve_cell(Cell(data_name, variant), SHAPE, 100)
    assert settings.init_args["sample_shape"] == list(SHAPE)


def test_the_fractions_of_every_data_set_sum_to_one(workspace, data_name):
    config = data_config(data_name)
    kind = import_class(config["class_path"], DataSet, data_name)
    dataset = construct(kind, resolve(kind, config["init_args"], data_name), data_name)
    shares = asdict(dataset.fractions)
    assert sum(shares.values()) - shares["tuning_anomalies"] == pytest.approx(1)


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_file_is_valid(workspace, name):
    assert "accelerator" in trainer_config(name)


TYPOS = {
    "params": ("params.yaml", ["modles"], "'models'"),
    "calibration": ("params.yaml", ["calibration", "init_arg"], "init_args"),
    "calibration's settings": ("params.yaml", ["calibration", "init_args", "qu"], "q"),
    "data": (DIGITS, ["trainin"], "'training'"),
    "data set": (DIGITS, ["init_args", "scalin"], "'scaling'"),
    "fractions": (DIGITS, ["init_args", "fractions", "trian"], ""),
    "model settings of the data set": (DIGITS, ["model", "latent_dims"], "'latent_dim'"),
    "training": (DIGITS, ["training", "max_epoch"], "'max_epochs'"),
    "model": (DENOISING, ["init_arg"], "'init_args'"),
    "variant": (DENOISING, ["init_args", "noise_facto"], "'noise_factor'"),
    "trainer": (CPU, ["acelerator"], "'accelerator'"),
    "no similar name": (DENOISING, ["init_args", "zzz"], "'masking', 'noise_factor'"),
}


@pytest.mark.parametrize("name", TYPOS)
def test_an_unknown_key_is_refused_with_its_file_and_the_nearest_key(set_yaml, refusal, name):
    path, keys, nearest = TYPOS[name]
    set_yaml(path, *keys, value=1)
    sentence = refusal(read_settings)
    assert path in sentence
    assert f"{keys[-1]!r}" in sentence
    assert nearest in sentence


WRONG = {
    "seed": ("params.yaml", ["seed"], "one"),
    "trainer's name": ("params.yaml", ["trainer"], 3),
    "calibration": ("params.yaml", ["calibration"], 5),
    "alpha": ("params.yaml", ["calibration", "init_args", "alpha"], "most"),
    "alpha out of range": ("params.yaml", ["calibration", "init_args", "alpha"], 1.5),
    "choice": (DIGITS, ["init_args", "scaling"], "standart"),
    "fraction": (DIGITS, ["init_args", "fractions", "train"], "much"),
    "number": (DIGITS, ["model", "latent_dim"], "wide"),
    "fractional number": (DIGITS, ["model", "latent_dim"], 3.5),
    "list": (DIGITS, ["model", "hidden"], 17),
    "member of a list": (DIGITS, ["model", "hidden"], [8, "wide"]),
    "batch size": (DIGITS, ["training", "batch_size"], "many"),
    "batch size out of range": (DIGITS, ["training", "batch_size"], 0),
    "noise": (DENOISING, ["init_args", "noise_factor"], "loud"),
    "activation": (DENOISING, ["init_args", "activation"], "rulu"),
    "trainer": (CPU, ["log_every_n_steps"], "often"),
    "residency": (CPU, ["residency"], "disk"),
    "acceleration": (CPU, ["acceleration"], "fast"),
    "acceleration of another type": (CPU, ["acceleration"], True),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_another_type_is_refused_with_its_file_and_the_value(set_yaml, refusal, name):
    path, keys, value = WRONG[name]
    set_yaml(path, *keys, value=value)
    sentence = refusal(read_settings)
    assert path in sentence
    assert str(value[-1] if isinstance(value, list) else value) in sentence


SECTIONS = [
    (DIGITS, ["init_args"]),
    (DIGITS, ["init_args", "fractions"]),
    (DIGITS, ["model"]),
    (DIGITS, ["training"]),
    (DENOISING, ["init_args"]),
    ("params.yaml", ["calibration"]),
    ("params.yaml", ["calibration", "init_args"]),
]


@pytest.mark.parametrize(("path", "keys"), SECTIONS)
def test_a_section_other_than_a_mapping_is_refused_with_its_file(set_yaml, refusal, path, keys):
    for value in (5, ["latent_dim"], "text"):
        set_yaml(path, *keys, value=value)
        assert path in refusal(read_settings)


def test_a_missing_setting_of_params_is_refused_with_its_name(workspace, refusal):
    values = yaml.safe_load((workspace / "params.yaml").read_text(encoding="utf-8"))
    for key in values.keys() - {"trusted_modules", "pixel_threshold"}:
        rest = {name: value for name, value in values.items() if name != key}
        (workspace / "params.yaml").write_text(yaml.safe_dump(rest), encoding="utf-8")
        assert f"{key} is missing" in refusal(params)


MALFORMED = (b"a: [1", b"a: b: c", b"\ta: 1", b"\xff\xfe", b"- 1", b"text", b"")


@pytest.mark.parametrize("path", ["params.yaml", DIGITS, DENOISING, CPU])
def test_a_malformed_or_empty_file_is_refused_with_its_path(workspace, refusal, path):
    for content in MALFORMED[: -1 if path == CPU else None]:  # a trainer file may be empty
        (workspace / path).write_bytes(content)
        assert path in refusal(read_settings)


ALIASES = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 10)]
UNUSUAL = {
    "recursive": (b"a: &x {b: *x}", "alias"),
    "recursive list": (b"a: &x [*x]", "alias"),
    "alias bomb": ("\n".join(ALIASES).encode(), "aliases"),
    "deep": (b"a: " + b"[" * 200 + b"]" * 200, "levels"),
    "very deep": (b"a: " + b"[" * 20_000 + b"]" * 20_000, ""),
    "repeated key": (b"seed: 1\nseed: 2\n", "'seed' is repeated in line 2"),
    "repeated nested key": (b"a:\n  b: 1\n  b: 2\n", "'b' is repeated in line 3"),
    "tabs": (b"a:\n\tb: 1\n", ""),
    "not UTF-8": ("größe: 1".encode("latin-1"), "utf-8"),
    "folder": (None, "directory"),
}
FILES = ["params.yaml", DIGITS, DENOISING, CPU, CELL, SPACE]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_yaml_is_refused_in_a_sentence_with_its_path(workspace, refusal, path, name):
    content, part = UNUSUAL[name]
    file = workspace / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    sentence = refusal(read_settings if path != SPACE else lambda: read(Path(path), None))
    assert f"{path} is not valid YAML" in sentence
    assert part in sentence


def test_anchors_and_merged_keys_are_read(workspace):
    file = workspace / "a.yaml"
    file.write_text("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n", encoding="utf-8")
    assert read(file, None) == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


@pytest.mark.parametrize("kind", ["data", "model", "trainer"])
def test_an_unknown_name_is_refused_with_the_available_ones(set_yaml, refusal, kind):
    names = sorted(repr(path.stem) for path in Path("configs", kind).glob("*.yaml"))
    available = ", ".join(names[:12])  # of the message; it counts the others
    cell = {"data": "digits", "model": "denoising"}
    if kind == "trainer":
        set_yaml("params.yaml", "trainer", value="nowhere")
    else:
        cell[kind] = "nowhere"
    assert available in refusal(read_settings, **cell)


OUTSIDE = [
    *("os.system", "builtins.dict", "torch.nn.Linear", "hourglass.networks.Dense"),
    *("hourglass.nowhere.Class", "hourglass.detection.calibrators.Nothing", ".digits.Digits"),
    *("Digits", "", None, 7),
]


@pytest.mark.parametrize("class_path", OUTSIDE)
@pytest.mark.parametrize(
    ("path", "section"), [(DIGITS, []), (DENOISING, []), ("params.yaml", ["calibration"])]
)
def test_an_unsuitable_class_path_is_refused(set_yaml, refusal, path, section, class_path):
    set_yaml(path, *section, "class_path", value=class_path)
    sentence = refusal(read_settings)
    assert path in sentence
    assert repr(class_path) in sentence


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "/etc", "a b", "a\\b", "a\n", "-a"])
def test_an_invalid_name_is_refused_wherever_it_is_read(set_yaml, refusal, name):
    set_yaml("params.yaml", "trainer", value=name)
    actions = (
        lambda: Cell(name, "denoising"),
        lambda: Cell("digits", name),
        lambda: prepare(name),
        read_settings,
    )
    for action in actions:
        assert f"{name!r} is not a valid name" in refusal(action)


def test_a_variant_with_the_name_of_another_folder_is_refused(refusal):
    assert "'references' is not a valid name" in refusal(Cell, "digits", "references")
    assert Cell("my-data_2", "Model3").name == "my-data_2-Model3"


def test_two_cells_with_the_same_name_are_refused(set_yaml, refusal):
    set_yaml("params.yaml", "data", value=["a", "a-b"])
    set_yaml("params.yaml", "models", value=["c", "d"])
    assert params().data == ["a", "a-b"]
    set_yaml("params.yaml", "models", value=["b-c", "c"])
    sentence = refusal(params)
    assert sentence.startswith("params.yaml: a with b-c and a-b with c would both be called a-b-c;")


def test_the_variant_s_settings_come_before_the_data_set_s_and_those_before_defaults(set_yaml):
    set_yaml(DIGITS, "model", value={"latent_dim": 5, "noise_factor": 0.7})
    set_yaml(DENOISING, "init_args", value={"noise_factor": 0.2})
    settings = read_settings().init_args
    assert settings["noise_factor"] == 0.2
    assert settings["latent_dim"] == 5
    assert settings["hidden"] == [128]


def test_a_data_set_without_a_training_section_has_the_defaults(workspace):
    (workspace / DIGITS).write_text("class_path: hourglass.data.digits.Digits\n", encoding="utf-8")
    assert read_settings().training == TrainingPlan().training(100)


@pytest.mark.parametrize(
    ("model", "setting"), [("linear", "hidden"), ("denoising", "channels"), ("linear", "channels")]
)
def test_a_setting_of_another_network_is_ignored(set_yaml, model, setting):
    set_yaml(DIGITS, "model", setting, value=[3])
    assert setting not in read_settings(model=model).init_args


@pytest.mark.parametrize(
    ("path", "section", "fixed"),
    [
        *((DIGITS, ["model"], name) for name in ("sample_shape", "network", "bounded")),
        *((DENOISING, ["init_args"], name) for name in ("sample_shape", "network", "bounded")),
    ],
)
def test_a_file_may_not_set_arguments_of_the_program(set_yaml, refusal, path, section, fixed):
    set_yaml(path, *section, fixed, value=[1])
    assert f"unknown setting {fixed!r}" in refusal(read_settings)


@pytest.mark.parametrize(("init_args", "q"), [({}, 0.95), ({"q": 0.9}, 0.9)])
def test_params_choose_the_calibrator(set_yaml, init_args, q):
    value = {"class_path": "hourglass.detection.calibrators.Quantile", "init_args": init_args}
    set_yaml("params.yaml", "calibration", value=value)
    calibrator = make_calibrator(params().calibration)
    assert isinstance(calibrator, Quantile)
    assert calibrator.q == q


def test_residency_is_a_setting_of_the_trainer_file_but_not_of_lightning(workspace, set_yaml):
    assert read_settings().residency == "auto"
    set_yaml(CPU, "residency", value="stream")
    assert read_settings().residency == "stream"
    make_trainer(read_settings(), workspace / "checkpoints", None)


def test_acceleration_is_an_optional_setting_of_the_trainer_file(set_yaml, refusal):
    assert "acceleration" not in read_settings().trainer
    for value in get_args(Acceleration):
        set_yaml(CPU, "acceleration", value=value)
        assert trainer_config("cpu")["acceleration"] == value
    for wrong in (None, 3, ["auto"]):
        set_yaml(CPU, "acceleration", value=wrong)
        sentence = refusal(trainer_config, "cpu")
        assert f"{CPU}: acceleration is {wrong!r}" in sentence
        assert "auto, none, compile, cuda_graph" in sentence
