from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from hourglass.core.paths import Cell
from hourglass.core.settings import data_config, params
from hourglass.core.yaml_config import construct, import_class, resolve
from hourglass.data.base import DataSet
from hourglass.detection.calibrators import KSigma, Quantile
from hourglass.detection.calibrators.from_settings import make_calibrator
from hourglass.stages.prepare import prepare
from hourglass.training.cell_settings import CellSettings, Training, resolve_cell, trainer_config
from hourglass.training.trainer import make_trainer

TRAINERS = sorted(
    path.stem for path in (Path(__file__).parents[2] / "configs/trainer").glob("*.yaml")
)
DIGITS, DENOISING, CPU = (
    f"configs/{name}.yaml" for name in ("data/digits", "model/denoising", "trainer/cpu")
)
SHAPE = (1, 8, 8)


def settle(data: str = "digits", model: str = "denoising") -> CellSettings:
    """Read every file that a cell's stages read, as they read them, but train nothing."""
    make_calibrator(params().calibration)
    prepare(data)
    return resolve_cell(Cell(data, model), SHAPE)


def test_every_variant_can_be_had_on_every_data_set(workspace, data_name, variant):
    settings = resolve_cell(Cell(data_name, variant), SHAPE)
    assert settings.init_args["sample_shape"] == list(SHAPE)


def test_the_settings_of_every_data_set_make_one(workspace, data_name):
    config = data_config(data_name)
    kind = import_class(config["class_path"], DataSet, data_name)
    dataset = construct(kind, resolve(kind, config["init_args"], data_name), data_name)
    shares = asdict(dataset.fractions)
    assert sum(shares.values()) - shares["tuning_anomalies"] == pytest.approx(1)


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_can_be_had(workspace, name):
    assert "accelerator" in trainer_config(name)


TYPOS = {
    "params": ("params.yaml", ["modles"], "'models'"),
    "calibration": ("params.yaml", ["calibration", "init_arg"], "init_args"),
    "calibration's settings": ("params.yaml", ["calibration", "init_args", "qu"], "q"),
    "data": (DIGITS, ["trainin"], "'training'"),
    "data set": (DIGITS, ["init_args", "scalin"], "'scaling'"),
    "fractions": (DIGITS, ["init_args", "fractions", "trian"], ""),
    "what suits the data set": (DIGITS, ["model", "latent_dims"], "'latent_dim'"),
    "training": (DIGITS, ["training", "max_epoch"], "'max_epochs'"),
    "model": (DENOISING, ["init_arg"], "'init_args'"),
    "variant": (DENOISING, ["init_args", "noise_facto"], "'noise_factor'"),
    "trainer": (CPU, ["acelerator"], "'accelerator'"),
    "nothing like it": (DENOISING, ["init_args", "zzz"], "noise_factor, masking"),
}


@pytest.mark.parametrize("name", TYPOS)
def test_a_key_that_is_unknown_is_refused_with_file_and_nearest(set_yaml, refusal, name):
    path, keys, nearest = TYPOS[name]
    set_yaml(path, *keys, value=1)
    sentence = refusal(settle)
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
    "broken number": (DIGITS, ["model", "latent_dim"], 3.5),
    "list": (DIGITS, ["model", "hidden"], 17),
    "member of a list": (DIGITS, ["model", "hidden"], [8, "wide"]),
    "batch size": (DIGITS, ["training", "batch_size"], "many"),
    "batch size out of range": (DIGITS, ["training", "batch_size"], 0),
    "noise": (DENOISING, ["init_args", "noise_factor"], "loud"),
    "activation": (DENOISING, ["init_args", "activation"], "rulu"),
    "trainer": (CPU, ["log_every_n_steps"], "often"),
    "residency": (CPU, ["residency"], "disk"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_another_kind_is_refused_with_file_and_value(set_yaml, refusal, name):
    path, keys, value = WRONG[name]
    set_yaml(path, *keys, value=value)
    sentence = refusal(settle)
    assert path in sentence
    assert str(value[-1] if isinstance(value, list) else value) in sentence


@pytest.mark.parametrize("value", [5, ["latent_dim"], "text"])
@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (DIGITS, ["init_args"]),
        (DIGITS, ["init_args", "fractions"]),
        (DIGITS, ["model"]),
        (DIGITS, ["training"]),
        (DENOISING, ["init_args"]),
        ("params.yaml", ["calibration"]),
        ("params.yaml", ["calibration", "init_args"]),
    ],
)
def test_a_section_that_is_no_mapping_is_refused_by_its_file(set_yaml, refusal, path, keys, value):
    set_yaml(path, *keys, value=value)
    assert path in refusal(settle)


def test_a_missing_setting_of_params_is_refused_by_name(workspace, refusal):
    values = yaml.safe_load((workspace / "params.yaml").read_text(encoding="utf-8"))
    for key in values:
        rest = {name: value for name, value in values.items() if name != key}
        (workspace / "params.yaml").write_text(yaml.safe_dump(rest), encoding="utf-8")
        assert f"{key!r}" in refusal(params)


@pytest.mark.parametrize("content", [b"a: [1", b"a: b: c", b"\ta: 1", b"\xff\xfe", b"- 1", b"text"])
@pytest.mark.parametrize("path", ["params.yaml", DIGITS, DENOISING, CPU])
def test_a_file_that_is_no_mapping_is_refused_by_name(workspace, refusal, path, content):
    (workspace / path).write_bytes(content)
    assert path in refusal(settle)


@pytest.mark.parametrize("path", ["params.yaml", DIGITS, DENOISING])
def test_an_empty_file_is_refused_by_name(workspace, refusal, path):
    (workspace / path).write_bytes(b"")
    assert path in refusal(settle)


def known(folder: str) -> str:
    return ", ".join(sorted(path.stem for path in Path("configs", folder).glob("*.yaml")))


def test_an_unknown_data_set_is_refused_with_those_there_are(workspace, refusal):
    assert known("data") in refusal(settle, "digitz")


def test_an_unknown_variant_is_refused_with_those_there_are(workspace, refusal):
    assert known("model") in refusal(settle, "digits", "denoisin")


def test_where_samples_are_kept_stands_in_the_trainers_file_and_is_not_told_lightning(
    workspace, set_yaml
):
    assert settle().residency == "auto"
    set_yaml(CPU, "residency", value="stream")
    assert settle().residency == "stream"
    make_trainer(settle(), workspace / "checkpoints", None)


def test_an_unknown_trainer_is_refused_with_those_there_are(set_yaml, refusal):
    set_yaml("params.yaml", "trainer", value="tpu")
    assert known("trainer") in refusal(settle)


OUTSIDE = [
    "os.system",
    "builtins.dict",
    "torch.nn.Linear",
    "hourglass.networks.Dense",
    "hourglass.nowhere.Class",
    "hourglass.detection.calibrators.Nothing",
    ".digits.Digits",
    "Digits",
    "",
    None,
    7,
]


@pytest.mark.parametrize("class_path", OUTSIDE)
@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (DIGITS, ["class_path"]),
        (DENOISING, ["class_path"]),
        ("params.yaml", ["calibration", "class_path"]),
    ],
)
def test_a_class_of_another_kind_is_refused_with_its_path(
    set_yaml, refusal, path, keys, class_path
):
    set_yaml(path, *keys, value=class_path)
    sentence = refusal(settle)
    assert path in sentence
    assert repr(class_path) in sentence


def test_a_class_of_another_kind_is_not_called(workspace, set_yaml, refusal):
    set_yaml("params.yaml", "calibration", "class_path", value="os.system")
    command = f"touch {workspace}/called"
    set_yaml("params.yaml", "calibration", "init_args", value={"command": command})
    refusal(settle)
    assert not (workspace / "called").exists()


OUT_OF_THE_FOLDER = ["../x", "a/b", "", "..", ".hidden", "/etc", "a.b", "a b", "a\\b", "a\n", "-a"]


@pytest.mark.parametrize("name", OUT_OF_THE_FOLDER)
@pytest.mark.parametrize("place", ["data", "model", "prepare", "trainer"])
def test_a_name_that_could_leave_its_folder_is_refused(set_yaml, refusal, name, place):
    if place == "trainer":
        set_yaml("params.yaml", "trainer", value=name)
    action = {
        "data": lambda: Cell(name, "denoising"),
        "model": lambda: Cell("digits", name),
        "prepare": lambda: prepare(name),
        "trainer": settle,
    }[place]
    assert f"{name!r} is no name" in refusal(action)


def test_a_variant_that_is_called_as_another_folder_is_refused(refusal):
    assert "'references' is no name" in refusal(Cell, "digits", "references")


def test_a_name_of_letters_digits_and_dashes_is_one():
    assert Cell("my-data_2", "Model3").name == "my-data_2-Model3"


def test_two_cells_of_one_name_are_refused(set_yaml, refusal):
    set_yaml("params.yaml", "data", value=["a", "a-b"])
    set_yaml("params.yaml", "models", value=["c", "d"])
    assert params().data == ["a", "a-b"]
    set_yaml("params.yaml", "models", value=["b-c", "c"])
    sentence = refusal(params)
    assert sentence.startswith("params.yaml: a with b-c and a-b with c would both be called a-b-c;")


def test_what_suits_the_data_set_comes_before_the_defaults(set_yaml):
    set_yaml(DIGITS, "model", "latent_dim", value=5)
    assert settle().init_args["latent_dim"] == 5


def test_what_makes_the_variant_comes_before_what_suits_the_data_set(set_yaml):
    set_yaml(DIGITS, "model", "noise_factor", value=0.7)
    set_yaml(DENOISING, "init_args", "noise_factor", value=0.2)
    assert settle().init_args["noise_factor"] == 0.2


def test_what_nobody_sets_has_its_default(set_yaml):
    set_yaml(DIGITS, "model", value={})
    set_yaml(DENOISING, "init_args", value={})
    settings = settle().init_args
    assert (settings["latent_dim"], settings["hidden"]) == (32, [128])


def test_without_its_sections_a_data_set_is_trained_on_with_the_defaults(workspace):
    (workspace / DIGITS).write_text("class_path: hourglass.data.digits.Digits\n", encoding="utf-8")
    assert settle().training == Training()


@pytest.mark.parametrize(
    ("model", "setting"), [("linear", "hidden"), ("denoising", "channels"), ("linear", "channels")]
)
def test_a_setting_of_another_network_is_passed_over(set_yaml, model, setting):
    set_yaml(DIGITS, "model", setting, value=[3])
    assert setting not in settle(model=model).init_args


@pytest.mark.parametrize("fixed", ["sample_shape", "network", "bounded"])
@pytest.mark.parametrize(("path", "section"), [(DIGITS, "model"), (DENOISING, "init_args")])
def test_what_the_program_gives_a_file_may_not_set(set_yaml, refusal, path, section, fixed):
    set_yaml(path, section, fixed, value=[1])
    assert f"{fixed!r} is no setting here" in refusal(settle)


@pytest.mark.parametrize(
    "fixed", ["default_root_dir", "enable_progress_bar"]
)
def test_what_the_program_gives_the_trainer_its_file_may_not_set(set_yaml, refusal, fixed):
    set_yaml(CPU, fixed, value=1)
    assert f"{fixed!r} is no setting here" in refusal(settle)


def test_the_calibrator_is_the_one_that_params_ask_for(set_yaml):
    set_yaml(
        "params.yaml", "calibration", "class_path", value="hourglass.detection.calibrators.KSigma"
    )
    set_yaml("params.yaml", "calibration", "init_args", value={"k": 3})
    calibrator = make_calibrator(params().calibration)
    assert isinstance(calibrator, KSigma)
    assert calibrator.k == 3


def test_a_calibrator_without_settings_has_its_defaults(set_yaml):
    value = {"class_path": "hourglass.detection.calibrators.Quantile"}
    set_yaml("params.yaml", "calibration", value=value)
    calibrator = make_calibrator(params().calibration)
    assert isinstance(calibrator, Quantile)
    assert calibrator.q == 0.95


def test_settings_are_the_same_on_a_second_reading(workspace):
    assert settle() == settle()


@pytest.mark.parametrize("value", ["auto", "none", "compile", "cuda_graph"])
def test_how_a_step_is_accelerated_is_a_setting_of_the_trainer(set_yaml, value):
    set_yaml(CPU, "acceleration", value=value)
    assert trainer_config("cpu")["acceleration"] == value


@pytest.mark.parametrize("value", ["fast", True, None, 3, ["auto"]], ids=str)
def test_another_acceleration_is_refused_with_those_there_are(set_yaml, refusal, value):
    set_yaml(CPU, "acceleration", value=value)
    sentence = refusal(trainer_config, "cpu")
    assert f"{CPU}: acceleration is {value!r}" in sentence
    assert "auto, none, compile, cuda_graph" in sentence


def test_an_acceleration_that_nobody_set_is_no_setting(workspace):
    assert "acceleration" not in settle().trainer
