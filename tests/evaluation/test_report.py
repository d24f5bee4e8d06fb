"""The page of `compare`: content, structure, script in a browser, and MLflow run."""

import csv
import itertools
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from hourglass.core.atomic import sha256
from hourglass.core.paths import LEADERBOARD, PAGE
from hourglass.evaluation.report.codes import latent_code_table
from hourglass.evaluation.report.data_set import forest_scale
from hourglass.evaluation.report.glossary import MEANINGS
from hourglass.evaluation.report.leaderboard import components
from hourglass.evaluation.report.page import study_tables
from hourglass.stages.baselines import baselines
from hourglass.stages.compare import compare
from hourglass.stages.page_tables import page_is_outdated
from hourglass.stages.prepare import prepare
from tests.evaluation.browser import play
from tests.evaluation.pages import Node, parse
from tests.stages.cells import run_cell
from tests.tracking.stored import rows
from tests.workspaces import ROOT, DirectRecorder, FakeRecorder, set_up, set_yaml, working_in

DATA, MODELS = ("digits", "own", "unlabelled"), ("linear", "denoising")
CELLS = [f"{data}/{model}" for data in DATA for model in MODELS]
FEATURES = ["<b>width</b>", 'a & "b"', "c", "d"]


def own_table(folder: Path, name: str, **labels: str) -> None:
    """Write a table, with HTML characters in names and labels, and its settings."""
    normal = [[i * 37 % 101, i * 53 % 97, i * 71 % 89, i * 13 % 83] for i in range(150)]
    anomalous = [[300 + i, 300, 300, 300] for i in range(12)]
    frame = pd.DataFrame(normal + anomalous, columns=FEATURES)
    if labels:
        frame["kind"] = ["<good>"] * 150 + ["bad & <i>ugly</i>"] * 12
    (folder / "data/own").mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / f"data/own/{name}.csv", index=False)
    settings = {
        "class_path": "hourglass.data.table.Table",
        "init_args": {"path": f"data/own/{name}.csv", **labels},
        "model": {"latent_dim": 1, "hidden": [3]},
        "training": {"batch_size": 32, "max_epochs": 2, "patience": 2},
    }
    (folder / f"configs/data/{name}.yaml").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Give a working folder with a small grid and its report."""
    folder = set_up(tmp_path_factory.mktemp("report") / "workspace")
    own_table(folder, "own", label="kind", normal="<good>")
    own_table(folder, "unlabelled")
    set_yaml(folder / "params.yaml", "data", value=list(DATA))
    set_yaml(folder / "params.yaml", "models", value=list(MODELS))
    with working_in(folder, FakeRecorder()), pytest.MonkeyPatch.context() as patch:
        few = {"images": 2, "features": 1}
        patch.setattr("hourglass.evaluation.cell_figures.SAMPLES_PER_ROW", few)
        for data in DATA:
            prepare(data)
            baselines(data)
            for model in MODELS:
                run_cell(data, model)
        compare()
    return folder


@pytest.fixture(scope="module")
def page(workspace) -> str:
    return (workspace / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tree(page) -> Node:
    return parse(page)


@pytest.fixture
def changed(workspace, tmp_path) -> Path:
    """Give a copy of the working folder."""
    return Path(shutil.copytree(workspace, tmp_path / "workspace"))


def compare_again(folder: Path) -> Node:
    """Compare again and return the page."""
    with working_in(folder, FakeRecorder()):
        compare()
    return parse((folder / PAGE).read_text(encoding="utf-8"))


def plots(node: Node) -> list[Node]:
    """Return the plots, without markers, which assistive technology ignores."""
    return [svg for svg in node.all("svg") if "aria-hidden" not in svg.attributes]


def values(node: Node) -> list[float]:
    return [float(number.attributes["value"]) for number in node.all("data")]


# Content.


def board(tree: Node, data: str) -> Node:
    """Return the leaderboard of a data set."""
    (section,) = (one for one in tree.all("section") if one.attributes.get("data-set") == data)
    return next(section.all("table"))


def board_rows(tree: Node, data: str) -> list[Node]:
    (body,) = board(tree, data).all("tbody")
    return list(body.all("tr"))


@pytest.mark.parametrize("data", DATA)
def test_a_board_has_the_rows_and_numbers_of_the_leaderboard_in_order(workspace, tree, data):
    table = pd.read_csv(workspace / "reports/leaderboard.csv")
    metrics = ["AUROC", "AUROC_over_PCA", "average_precision", "FPR_at_95_recall", "recall"]
    metrics += ["false_alarm_rate", "F1", "latent_dim", "parameters"]
    rows = table[table["data"] == data]
    for shown, (_, row) in zip(board_rows(tree, data), rows.iterrows(), strict=True):
        name, expected = next(shown.all("th")).text, row[metrics].dropna().tolist()
        assert name.startswith(row["model"])
        assert ("baseline" in name) == row["baseline"]
        if not row["baseline"]:
            expected.append(timing(workspace, data, row["model"])["seconds"])
        assert values(shown) == expected


def timing(workspace: Path, data: str, model: str) -> dict:
    path = workspace / f"runs/{data}/{model}/tracking/train.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("data", ["digits", "own"])
def test_the_forest_plot_places_values_and_intervals_in_order_on_its_scale(tree, data):
    too_few = data == "own"  # 8 anomalies
    assert ("No intervals: too few anomalies (8)" in board(tree, data).text) == too_few
    for row in board_rows(tree, data):
        marks = {span.attributes.get("class", "").split(" ")[0]: span for span in row.all("span")}
        if "cut" in marks:
            continue
        assert ("ci" in marks) == (not too_few)
        (at,) = percentages(marks["place"])
        left, right = percentages(marks["ci"]) if "ci" in marks else (at, 100 - at)
        assert 0 <= left <= at <= 100 - right + 0.01 <= 100.02


def test_a_shown_interval_is_not_cut_off():
    """Long intervals of close values reach far below the quartile of the values."""
    rows = [
        {"AUROC": at, "AUROC_low": at - 0.1, "AUROC_high": at + 0.05}
        for at in (0.56, 0.57, 0.58, 0.59)
    ]
    scale = forest_scale([*rows, {"AUROC": 0.2, "AUROC_low": 0.1, "AUROC_high": 0.3}])
    assert scale is not None
    assert 0.3 < scale.low <= 0.46 + 1e-9


def percentages(span: Node) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+(?=%)", span.attributes["style"])]


def test_the_matrix_has_the_auroc_of_every_cell(workspace, tree):
    (body,) = tree.by_id("matrix").all("tbody")
    shown = {next(row.all("th")).text: values(row) for row in body.all("tr")}
    table = pd.read_csv(workspace / "reports/leaderboard.csv").dropna(subset="AUROC")
    for model in MODELS:
        cells = table[table.model == model].set_index("data").AUROC
        assert shown[model] == [cells[name] for name in DATA if name in cells]


def test_the_page_has_the_provenance_and_settings_of_a_cell(workspace, tree):
    text, times = tree.by_id("digits/denoising").text, timing(workspace, "digits", "denoising")
    started = datetime.fromtimestamp(times["started"] / 1000, UTC)
    card = json.loads((workspace / "data/prepared/digits/card.json").read_text())
    for known in (f"{started:%Y-%m-%d %H:%M}", card["sha256"][:12], "noise_factor:", "seed 0"):
        assert known in text
    assert f"torch {times['environment']['torch']}" in tree.text


def test_without_timings_the_page_omits_date_and_seconds(changed):
    for path in changed.glob("runs/*/*/tracking"):
        shutil.rmtree(path)
    tree = compare_again(changed)
    assert "training (s)" not in board(tree, "digits").text
    assert "trained" not in next(tree.all("header")).text
    assert "seed 0" in next(tree.all("header")).text


def test_a_formula_in_a_label_is_shown_as_it_was(changed):
    path = changed / "runs/own/linear/evaluate/by_class.csv"
    path.write_text(path.read_text().replace("<good>", "'=SUM(A1)"))
    section = compare_again(changed).by_id("own/linear")
    assert "=SUM(A1)" in section.text
    assert "'=SUM(A1)" not in section.text


@pytest.mark.parametrize("cell", CELLS)
def test_a_cells_section_has_its_metrics_thresholds_and_figures(workspace, tree, cell):
    folder, section = workspace / "runs" / cell / "evaluate", tree.by_id(cell)
    metrics_table, threshold_table, *_ = section.all("table")
    metrics = json.loads((folder / "metrics.json").read_text())
    shown = {key for key in metrics if not key.endswith(("_low", "_high"))}
    assert {metrics[key] for key in shown} <= set(values(metrics_table))
    with (folder / "thresholds.csv").open() as file:
        deployed, *others = csv.DictReader(file)
    thresholds = [deployed, *(row for row in others if row["calibrator"] != "conformal")]  # equal
    (body,) = threshold_table.all("tbody")
    assert "deployed" in body.children[0].text
    for row, expected in zip(body.all("tr"), thresholds, strict=True):
        if expected.get("refused"):
            assert f"Refused: {expected['refused']}" in row.text
        else:
            assert float(expected["false_alarm_rate"]) in values(row)
    figures = {path.stem for path in (folder / "figures").iterdir()}
    curves = figures & {"histogram", "roc", "precision_recall"}
    assert len(plots(section)) == len(curves) + 1  # and the training
    assert len(list(section.all("img"))) == len(figures - curves)


def test_text_from_user_data_is_escaped(page, tree):
    for forbidden in ("<b>width", "<good>", "<i>ugly"):
        assert forbidden not in page
    section = tree.by_id("own/linear").text
    assert "<good>" in section
    assert "bad & <i>ugly</i>" in section


def test_unlabelled_data_have_no_label_metrics(tree):
    text = tree.by_id("unlabelled/linear").text
    assert "false-alarm rate" in text
    assert "AUROC" not in text
    assert len(plots(tree.by_id("unlabelled/linear"))) == 2  # scores and training
    assert "No labelled anomalies in the test split, so no AUROC." in tree.text


def test_alarms_of_unlabelled_data_are_not_called_false(workspace, tree):
    table = pd.read_csv(workspace / "runs/unlabelled/linear/evaluate/mistakes.csv")
    assert set(table.mistake) == {"alarm"}
    text = tree.by_id("unlabelled/linear").text
    assert f"{len(table)} alarm" in text
    assert "Alarms by descending score" in text
    assert "false alarm" not in text.lower()
    assert "false alarm" in tree.by_id("own/linear").text


@pytest.mark.parametrize(("sizes", "expected"), [({2, 4, 512}, [2, 4]), ({512}, [5])])
def test_pca_is_compared_also_with_codes_that_are_wider_than_it_allows(sizes, expected):
    assert components(sizes, most=10) == expected


def test_a_page_of_unlabelled_data_has_no_auroc_column(changed):
    set_yaml(changed / "params.yaml", "data", value=["unlabelled"])
    headings = [heading.text for heading in board(compare_again(changed), "unlabelled").all("th")]
    assert "AUROC" not in headings
    assert "false-alarm rate" in headings


def test_a_single_variant_is_not_called_better_than_others(changed):
    set_yaml(changed / "params.yaml", "models", value=["linear"])
    text = compare_again(changed).text
    assert "The only variant is linear ." in text
    assert "better than the others" not in text
    assert "AUROC of linear , the best variant" not in text
    assert "AUROC of linear ;" in text


def test_a_cell_without_mistakes_says_so(changed):
    folder = changed / "runs/own/linear/evaluate"
    scores = pd.read_parquet(folder / "scores.parquet")
    scores.assign(alarm=scores.anomaly).to_parquet(folder / "scores.parquet")
    (folder / "mistakes.csv").write_text("mistake,id,label,score,p_value\n")
    for name in ("mistakes", "attribution"):
        (folder / f"figures/{name}.png").unlink(missing_ok=True)
    section = compare_again(changed).by_id("own/linear")
    assert "None: no false alarm and no miss on the test split." in section.text


def test_comparing_twice_gives_the_same_bytes(changed, page):
    compare_again(changed)
    assert (changed / PAGE).read_text(encoding="utf-8") == page


def test_the_dvc_lock_does_not_depend_on_dates_and_durations(changed, repository):
    stage = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]["compare"]
    tops = [changed / path for path in (*stage["outs"], *stage["metrics"])]

    def locked() -> dict[Path, str]:
        files = [file for top in tops for file in (top, *top.rglob("*")) if file.is_file()]
        return {file: sha256(file) for file in files}

    before, page = locked(), sha256(changed / PAGE)
    for path in changed.glob("runs/*/*/tracking/train.json"):
        times = json.loads(path.read_text())
        path.write_text(json.dumps(times | {"started": 1e12, "seconds": 1234.5}))
    compare_again(changed)
    assert locked() == before
    assert sha256(changed / PAGE) != page


@pytest.mark.parametrize("change", ["none", "tables", "page"])
def test_a_page_is_outdated_if_the_tables_are_others(changed, change):
    with working_in(changed, FakeRecorder()):
        if change == "tables":
            LEADERBOARD.write_text(LEADERBOARD.read_text() + "x")
        if change == "page":
            PAGE.unlink()
        assert page_is_outdated() == (change != "none")


def test_dvc_metrics_and_plots_hold_every_cell_with_labels(workspace):
    metrics = json.loads((workspace / "reports/metrics.json").read_text())
    for data, model in (cell.split("/") for cell in CELLS):
        path = workspace / f"runs/{data}/{model}/evaluate/metrics.json"
        expected = json.loads(path.read_text())
        names = {"AUROC", "average_precision", "false_alarm_rate", "F1"} & expected.keys()
        assert metrics[data][model] == {name: expected[name] for name in names}
    for curve, x in (("roc", "false_positive_rate"), ("precision_recall", "recall")):
        folder = workspace / "reports/plots" / curve
        assert {path.stem for path in folder.iterdir()} == {"digits", "own"}
        assert list(pd.read_csv(folder / "own.csv")) == [x, *MODELS]


# Studies of latent codes.

ACCURACY = {"linear": 0.75, "denoising": 0.875}
CAPTION = "Metrics of the latent codes"


@pytest.fixture(scope="module")
def studied(workspace, tmp_path_factory) -> Path:
    """Give a working folder with studies of two cells in its report."""
    target = tmp_path_factory.mktemp("studied") / "workspace"
    folder = Path(shutil.copytree(workspace, target))
    for model, accuracy in ACCURACY.items():
        study = folder / f"runs/digits/{model}/study"
        for name in ("tables", "figures"):
            (study / name).mkdir(parents=True)
        metrics = {"kNN_accuracy": accuracy, "frechet_distance": 12.5}
        (study / "metrics.json").write_text(json.dumps(metrics))
        rows = f"code,8,{accuracy}\npca,8,0.5\ninput,64,0.9\n"
        (study / "tables/features.csv").write_text("features,size,kNN_accuracy\n" + rows)
        shutil.copy(
            folder / f"runs/digits/{model}/evaluate/figures/histogram.png",
            study / "figures/map.png",
        )
    compare_again(folder)
    return folder


def test_studied_cells_come_first_by_accuracy_and_references_once(studied):
    table = pd.read_csv(studied / "reports/codes.csv")
    rows = list(zip(table.model, table.baseline, table.kNN_accuracy, strict=True))
    cells = [("denoising", False, 0.875), ("linear", False, 0.75)]
    assert rows == [*cells, ("input", True, 0.9), ("pca", True, 0.5)]


def test_the_page_shows_the_study_table_and_the_pictures_of_a_study(studied):
    table = pd.read_csv(studied / "reports/codes.csv")
    tree = parse((studied / PAGE).read_text(encoding="utf-8"))
    (shown,) = (part for part in tree.all("table") if part.children[0].text.startswith(CAPTION))
    (body,) = shown.all("tbody")
    for row, (_, expected) in zip(body.all("tr"), table.iterrows(), strict=True):
        assert next(row.all("th")).text.replace(" ", "").startswith(expected.model)
        known = expected[["kNN_accuracy", "frechet_distance", "latent_dim"]].dropna()
        assert values(row) == known.tolist()
    texts = [picture.attributes["alt"] for picture in tree.by_id("digits/linear").all("img")]
    (map_text,) = (text for text in texts if text.startswith("Two maps"))
    assert "0.7500" in map_text


def test_without_studies_there_is_no_study_table(workspace, tree):
    assert CAPTION not in tree.text
    assert pd.read_csv(workspace / "reports/codes.csv").empty


def test_cells_with_an_empty_study_or_none_are_left_out(tmp_path):
    folder = tmp_path / "runs/digits/linear"
    (folder / "study").mkdir(parents=True)
    (folder / "study/metrics.json").write_text("{}")
    with working_in(tmp_path):
        assert len(latent_code_table(["digits"], ["linear", "not_there"])) == 0


def test_the_page_shows_the_metrics_of_synthetic_tables():
    metrics = {
        "latent_dim": 8,
        "copied_rows": 0.0,
        "AUROC_of_boosting_trained_on_synthetic_rows": 0.9,
        "AUROC_of_boosting_trained_on_real_rows": 0.95,
    }
    row = {"data": "d", "model": "a", "baseline": False, **metrics}
    shown = {column.key for column in study_tables(pd.DataFrame([row]))["d"].columns}
    assert shown == metrics.keys()
    assert shown - {"latent_dim"} <= MEANINGS.keys()


# Studies of `tune`.


def write_tuning(folder: Path, data: str, cell: tuple[str, str] = ("digits", "denoising")) -> None:
    """Write the file of a study with two complete trials and a pruned one."""
    settings = [{"latent_dim": size, "noise_factor": size / 10} for size in (4, 8)]
    trials = [
        {"number": 0, "state": "complete", "values": [0.75], "settings": settings[0]},
        {"number": 1, "state": "pruned", "values": [0.5], "settings": {"latent_dim": 2}},
        {"number": 2, "state": "complete", "values": [0.875], "settings": settings[1]},
    ]
    path = folder / f"reports/tune/{cell[0]}-{cell[1]}-detection-1/study.json"
    path.parent.mkdir(parents=True)
    content: dict[str, Any] = {"cell": cell, "data": data, "objectives": ["tuning_AUROC"]}
    content |= {"directions": ["maximize"], "best": 2, "trials": trials}
    path.write_text(json.dumps(content))


def test_the_page_shows_the_studies_of_a_cell_on_its_current_data(changed):
    card = json.loads((changed / "data/prepared/digits/card.json").read_text())
    write_tuning(changed, card["sha256"])
    write_tuning(changed, "f" * 64, ("own", "denoising"))
    tree = compare_again(changed)
    studies = [one for one in tree.all("details") if "id" not in one.attributes]
    (study,) = studies
    assert "digits-denoising-detection-1" in study.text
    assert "2 complete, 1 pruned" in study.text
    assert values(study) == [0.875, 0.75]
    titles = [plot.attributes["aria-label"] for plot in plots(study)]
    assert len(titles) == 3  # the trials, and two settings
    assert "the best is 0.875" in titles[0]
    assert "--apply" in study.text
    settings = "init_args: {latent_dim: 8, noise_factor: 0.8, hidden: [16]}"
    (changed / "configs/cell").mkdir(exist_ok=True)
    (changed / "configs/cell/digits-denoising.yaml").write_text(settings)
    (study,) = [one for one in compare_again(changed).all("details") if "id" not in one.attributes]
    assert "has the values of trial 2 now" in study.text


# Structure.


def test_the_page_loads_no_other_file(page, tree):
    for element in tree.all():
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert element.attributes.get(name, "#").startswith(("#", "data:image/webp;base64,"))
    assert not list(tree.all("link", "iframe", "object", "embed"))
    style = next(tree.all("style")).text
    assert "url(" not in style
    assert "@import" not in style


def test_ids_are_unique_and_every_link_has_a_target(tree):
    ids = [element.attributes["id"] for element in tree.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    links = {link.attributes["href"][1:] for link in tree.all("a")}
    labels = {section.attributes.get("aria-labelledby") for section in tree.all("section")}
    assert links | labels | set(CELLS) <= set(ids)
    linked = {link.attributes["href"][1:] for data in DATA for link in board(tree, data).all("a")}
    assert set(CELLS) <= linked


def test_headings_are_nested_and_landmarks_unique(tree):
    for tag in ("header", "nav", "main", "footer"):
        assert len(list(tree.all(tag))) == 1
    levels = [int(heading.tag[1]) for heading in tree.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


def test_every_picture_has_a_text_alternative(tree):
    for image in tree.all("img"):
        assert len(image.attributes["alt"]) > 40
    for plot in plots(tree):
        assert plot.attributes["role"] == "img"
        assert re.search(r"\d", plot.attributes["aria-label"])


def test_every_table_has_a_caption_and_headings_with_a_scope(tree):
    tables = list(tree.all("table"))
    assert len(tables) > len(CELLS)
    for table in tables:
        assert table.children[0].tag == "caption"
        assert {heading.attributes.get("scope") for heading in table.all("th")} == {"col", "row"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("paper", ["paper", "raised"])
@pytest.mark.parametrize(("name", "least"), [("ink", 7), ("soft", 4.5), ("accent", 4.5)])
def test_text_has_enough_contrast(scheme, paper, name, least):
    style = (ROOT / "src/hourglass/evaluation/report/style.css").read_text()
    parts = re.findall(r":root \{(.*?)\}", style, flags=re.S)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", parts[scheme == "dark"]))
    dark, light = sorted((luminance(colours[name]), luminance(colours[paper])))
    assert (light + 0.05) / (dark + 0.05) >= least


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, as WCAG defines it."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


# Behaviour in a browser.

PLAY = """<script>
const results = {};
const tables = [...document.querySelectorAll(".board")];
const rows = (table) => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const names = () => tables.filter((table) => !table.closest("section").hidden).flatMap((table) =>
  rows(table).map((row) => table.closest("section").dataset.set + "/" + row.dataset.name));
const [digits] = tables;
const column = (i) => rows(digits).map((row) => row.cells[i].querySelector("data")?.value ?? null);
const heads = [...digits.tHead.rows[0].cells];
const press = (i) => { heads[i].querySelector("button").click(); return heads[i].ariaSort; };
const set = (id, value) => {
  const field = document.getElementById(id);
  if (field.type === "checkbox") field.checked = value; else field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
};
results.first = [press(3), column(3)];
results.again = [press(3), column(3)];
results.name = [press(0), rows(digits).map((row) => row.dataset.name)];
results.sorts = document.querySelectorAll("[aria-sort]").length;
set("data", "digits"); results.digits = names(); set("data", "");
set("text", "DENOIS"); results.text = names(); set("text", "");
set("baselines", false); results.variants = names(); results.shown = shown.textContent;
const empty = () => [...document.querySelectorAll(".none")].map((note) => note.hidden);
results.filled = empty();
set("text", "no such name"); results.empty = [empty(), names(), shown.textContent];
document.querySelector(".reset").click(); results.reset = names().length;
document.querySelector(".legend button").click();
results.emphasised = [...document.querySelectorAll(".charts .on")].map((on) => on.dataset.model);
results.phone = rows(digits).map((row) => {
  const boxes = [...row.cells].map((cell) => cell.getBoundingClientRect());
  const right = Math.max(...boxes.slice(0, 3).map((box) => box.right));
  return { left: boxes[0].left, right, others: boxes.slice(3).map((box) => box.width) };
});
location.hash = "#own/linear";
setTimeout(() => {
  results.opened = document.getElementById("own/linear").open;
  dispatchEvent(new Event("beforeprint"));
  results.printed = [...document.querySelectorAll("details")].every((section) => section.open);
  results.width = [innerWidth, document.documentElement.scrollWidth];
  dispatchEvent(new Event("afterprint"));
  results.closed = document.querySelectorAll("details[open]").length;
  frameElement.width = 1280;
  results.desktop = [frameElement.clientWidth, document.documentElement.scrollWidth];
  top.document.title = JSON.stringify({ ...results, wrong });
}, 50);
</script>"""


@pytest.fixture(scope="module")
def played(page, tmp_path_factory) -> dict:
    """Give the results of a script that uses the page in a browser of a phone's width."""
    return play(page, PLAY, tmp_path_factory.mktemp("browser"))


def test_pressing_a_heading_sorts_and_pressing_again_reverses(played):
    for order, falls in (("first", True), ("again", False)):
        direction, column = played[order]
        assert direction == ("descending" if falls else "ascending")
        known = [value for value in column if value is not None]
        assert known == sorted(known, key=float, reverse=falls)
        assert column[: len(known)] == known
        assert len(known) < len(column)  # rows without a value come last in both orders


def test_names_sort_as_text_and_one_column_is_marked(played):
    direction, names = played["name"]
    assert direction == "ascending"
    assert names == sorted(names)
    assert played["sorts"] == 1


def test_filters_leave_the_matching_rows(played):
    assert {name.split("/")[0] for name in played["digits"]} == {"digits"}
    assert sorted(played["text"]) == sorted(cell for cell in CELLS if "denoising" in cell)
    assert sorted(played["variants"]) == sorted(CELLS)
    assert played["shown"].startswith(f"{len(CELLS)} of ")


def test_filters_that_leave_no_row_say_so_and_can_be_cleared(played):
    assert played["filled"] == [True] * len(DATA)
    assert played["empty"] == [[False] * len(DATA), [], "Nothing matches"]
    assert played["reset"] > len(CELLS)


def test_the_legend_emphasises_a_variant_in_every_plot(played):
    assert len(played["emphasised"]) >= 5
    assert len(set(played["emphasised"])) == 1


def test_a_link_opens_the_section_of_its_cell(played):
    assert played["opened"] is True


def test_printing_opens_all_sections_and_closes_them_again(played):
    assert played["printed"] is True
    assert played["closed"] == 1  # that of the link


def test_the_page_fits_a_phone_without_errors(played):
    inner, needed = played["width"]
    assert needed <= inner == 360
    assert played["wrong"] == []


def test_the_page_fits_a_desktop(played):
    inner, needed = played["desktop"]
    assert needed <= inner == 1280


def test_a_phone_shows_name_auroc_and_interval_without_scrolling(played):
    for row in played["phone"]:
        assert 0 <= row["left"] < row["right"] <= 360
        assert not any(row["others"])


# MLflow.


@pytest.mark.slow
def test_comparing_again_updates_the_run_of_the_grid(changed):
    set_yaml(changed / "params.yaml", "data", value=["unlabelled"])
    with working_in(changed, DirectRecorder):
        compare()
        (first,) = rows(changed)
        compare()
        (row,) = rows(changed)
        set_yaml(changed / "params.yaml", "models", value=["linear"])
        compare()
    assert row.id == first.id
    assert (row.name, row.status) == ("report", "FINISHED")
    assert row.artifacts == {"codes.csv", "index.html", "leaderboard.csv"}
    assert row.params["models"] == "denoising, linear"
    assert len(rows(changed)) == 2  # another grid has a run of its own
