"""`dvc metrics`, `dvc plots`, the page and MLflow agree on every cell."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.pages import Node, parse
from tests.tracking.stored import Row, rows
from tests.workspaces import Project

pytestmark = pytest.mark.slow
CELLS = ("digits/linear", "digits/denoising")
every_cell = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(scope="module")
def done(new_project) -> Project:
    """Give a repository in which `dvc repro` ran a small grid."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=[cell.split("/")[1] for cell in CELLS])
    project.commit()
    project.run("dvc", "repro")
    return project


@pytest.fixture(scope="module")
def by_dvc(done) -> dict[str, dict[str, float]]:
    """Give the metrics that DVC shows, by cell."""
    shown = json.loads(done.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    (table,) = (each["data"] for each in shown.values())
    return {f"{data}/{model}": row for data, rows in table.items() for model, row in rows.items()}


@pytest.fixture(scope="module")
def plotted(done) -> dict[str, pd.DataFrame]:
    """Give the points of every plot that `dvc plots show` draws, by file."""
    text = done.run("dvc", "plots", "show", "--json", "--out", "plots").stdout
    plots = json.loads(text[text.index("{") :].splitlines()[0])["data"]
    return {
        name: pd.DataFrame(plot[0]["content"]["data"]["values"]).drop(columns="rev")
        for name, plot in plots.items()
    }


@pytest.fixture(scope="module")
def by_file(done) -> dict[str, dict[str, float]]:
    """Give the metrics that `evaluate` wrote, by cell."""
    return {cell: done.read(f"runs/{cell}/evaluate/metrics.json") for cell in CELLS}


@pytest.fixture(scope="module")
def page(done) -> Node:
    return parse((done / "reports/index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def by_mlflow(done) -> dict[str, Row]:
    return {row.name.replace("-", "/", 1): row for row in rows(done.folder)}


def values_of(row: Node) -> list[float]:
    """Return the numbers of a table row in full precision."""
    return [float(cell.attributes["value"]) for cell in row.all("data")]


def in_page(page: Node, cell: str) -> dict[str, float]:
    """Return the metrics of a cell's section, by the order of metrics.json."""
    metrics = {}
    for line in next(page.by_id(cell).all("table")).all("tr"):
        names = [head.text for head in line.all("th") if head.attributes.get("scope") == "row"]
        if names:
            metrics[names[0]] = values_of(line)[0]
    return metrics


@every_cell
def test_dvc_mlflow_and_the_page_show_the_metrics_of_evaluate(
    by_file, by_dvc, by_mlflow, page, cell
):
    metrics = by_file[cell]
    assert by_dvc[cell] == {key: metrics[key] for key in by_dvc[cell]}
    assert {key: by_mlflow[cell].metrics[key] for key in metrics} == metrics
    shown = in_page(page, cell)
    shown.pop("AUROC over PCA")
    expected = [v for key, v in metrics.items() if not key.endswith(("_low", "_high"))]
    assert list(shown.values()) == expected
    (line,) = (
        row
        for row in page.by_id("board").all("tr")
        if any(link.attributes.get("href") == f"#{cell}" for link in row.all("a"))
    )
    assert metrics["AUROC"] in values_of(line)


@every_cell
def test_the_study_is_the_same_in_its_file_mlflow_and_the_page(done, by_mlflow, page, cell):
    metrics = done.read(f"runs/{cell}/study/metrics.json")
    assert metrics == {key: by_mlflow[cell].metrics[key] for key in metrics}
    names = ("kNN_accuracy", "search_precision_at_10", "linear_accuracy")
    lines = [row for row in page.all("tr") if cell.split("/")[1] in next(iter(row.all("th"))).text]
    assert [metrics[name] for name in names] in [values_of(line)[:3] for line in lines]


@every_cell
def test_the_curves_of_dvc_are_those_of_the_metrics_and_of_mlflow(
    done, by_file, plotted, by_mlflow, cell
):
    from mlflow import MlflowClient

    data, model = cell.split("/")
    roc = plotted[f"reports/plots/roc/{data}.csv"]
    roc = roc[roc.field == model].astype({model: float, "false_positive_rate": float})
    area = np.trapezoid(roc[model], roc.false_positive_rate)
    assert area == pytest.approx(by_file[cell]["AUROC"], abs=0.01)
    history = plotted[f"reports/plots/validation_error/{data}.csv"]
    client = MlflowClient(f"sqlite:///{done.folder}/mlflow.db")
    points = client.get_metric_history(by_mlflow[cell].id, "validation_error")
    drawn = history[history.field == model][model].astype(float).tolist()
    assert drawn == pytest.approx([point.value for point in points], rel=1e-4)


def test_dvc_and_the_page_agree_on_what_a_change_does(done, page):
    done.commit()
    done.set("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    done.run("dvc", "repro")
    changed = json.loads(done.run("dvc", "metrics", "diff", "--json").stdout)
    again = parse((done / "reports/index.html").read_text(encoding="utf-8"))
    for cell in CELLS:
        name = f"{cell.replace('/', '.')}.false_alarm_rate"
        rate = changed["reports/metrics.json"][name]
        shown = [in_page(each, cell)["false-alarm rate"] for each in (page, again)]
        assert [rate["old"], rate["new"]] == shown
