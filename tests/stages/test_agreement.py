"""`dvc metrics`, `dvc plots`, the page and MLflow say the same of a cell."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.pages import Node, parse
from tests.tracking.test_mlflow import Row, rows
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
def by_dvc(done) -> dict[str, Any]:
    return json.loads(done.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]


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
def page(done) -> Node:
    return parse((done / "reports/index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def by_mlflow(done) -> dict[str, Row]:
    return {row.name.replace("-", "/", 1): row for row in rows(done.folder)}


def in_page(page: Node, cell: str) -> dict[str, float]:
    """Return the metrics of a cell's section, by the order of metrics.json."""
    table = next(page.by_id(cell).all("table"))
    found = {}
    for line in table.all("tr"):
        names = [each.text for each in line.all("th") if each.attributes.get("scope") == "row"]
        values = [float(each.attributes["value"]) for each in line.all("data")]
        if names:
            found[names[0]] = values[0]
    return found


@every_cell
def test_dvc_shows_the_metrics_of_mlflow(by_dvc, by_mlflow, cell):
    metrics = by_dvc[f"runs/{cell}/evaluate/metrics.json"]["data"]
    assert metrics == {key: by_mlflow[cell].metrics[key] for key in metrics}


@every_cell
def test_the_page_shows_the_metrics_of_dvc(by_dvc, page, cell):
    metrics = by_dvc[f"runs/{cell}/evaluate/metrics.json"]["data"]
    values = [value for key, value in metrics.items() if not key.endswith(("_low", "_high"))]
    shown = in_page(page, cell)
    shown.pop("AUROC over PCA")
    assert list(shown.values()) == values


@every_cell
def test_the_leaderboard_of_the_page_shows_the_metrics_of_dvc(by_dvc, page, cell):
    metrics = by_dvc[f"runs/{cell}/evaluate/metrics.json"]["data"]
    (line,) = (
        row
        for row in page.by_id("board").all("tr")
        if any(link.attributes.get("href") == f"#{cell}" for link in row.all("a"))
    )
    assert metrics["AUROC"] in [float(each.attributes["value"]) for each in line.all("data")]


@every_cell
def test_the_study_says_the_same_in_dvc_mlflow_and_the_page(by_dvc, by_mlflow, page, cell):
    metrics = by_dvc[f"runs/{cell}/study/evaluate/metrics.json"]["data"]
    assert metrics == {key: by_mlflow[cell].metrics[key] for key in metrics}
    (table,) = (
        each for each in page.all("table") if each.children[0].text.startswith("Metrics of")
    )
    (line,) = (row for row in table.all("tr") if cell.split("/")[1] in next(row.all("th")).text)
    shown = [float(each.attributes["value"]) for each in line.all("data")]
    assert shown[:3] == [metrics[name] for name in
                         ("kNN_accuracy", "search_precision_at_10", "linear_accuracy")]  # fmt: skip


@every_cell
def test_the_curves_of_dvc_have_the_area_of_the_metrics(by_dvc, plotted, cell):
    metrics = by_dvc[f"runs/{cell}/evaluate/metrics.json"]["data"]
    roc = plotted[f"runs/{cell}/evaluate/roc.csv"].astype(float)
    area = np.trapezoid(roc["recall"], roc["false_positive_rate"])
    assert area == pytest.approx(metrics["AUROC"], abs=1e-9)
    curve = plotted[f"runs/{cell}/evaluate/precision_recall.csv"].astype(float)
    assert curve["precision"].iloc[-1] == pytest.approx(metrics["prevalence"])


@every_cell
def test_the_history_of_dvc_is_the_curve_of_mlflow(done, plotted, by_mlflow, cell):
    from mlflow import MlflowClient

    history = plotted[f"runs/{cell}/train/history.csv"]
    client = MlflowClient(f"sqlite:///{done.folder}/mlflow.db")
    points = client.get_metric_history(by_mlflow[cell].id, "validation_error")
    assert [point.value for point in points] == history["validation_error"].astype(float).tolist()


def test_dvc_says_what_a_change_does_in_the_numbers_of_the_page(done, by_dvc, page):
    done.commit()
    done.set("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    done.run("dvc", "repro")
    changed = json.loads(done.run("dvc", "metrics", "diff", "--json").stdout)
    again = parse((done / "reports/index.html").read_text(encoding="utf-8"))
    for cell in CELLS:
        recall = changed[f"runs/{cell}/evaluate/metrics.json"]["recall"]
        assert recall["old"] == in_page(page, cell)["recall"]
        assert recall["new"] == in_page(again, cell)["recall"]
