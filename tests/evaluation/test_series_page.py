"""A series in the stage `evaluate` and on the page: files, texts, privacy and the script."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass.core.paths import PAGE, SHARED_PAGE, Cell
from hourglass.core.row_privacy import uploadable_files
from hourglass.data.prepared_data import Prepared
from hourglass.detection.detector import Detector
from hourglass.evaluation import figures
from hourglass.evaluation.timeline import Timeline
from hourglass.stages.baselines import baselines
from hourglass.stages.compare import compare
from hourglass.stages.prepare import prepare
from tests.evaluation.browser import WIDTH, play
from tests.evaluation.pages import Node, parse
from tests.stages.cells import run_cell
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

CHANNEL = '<b>flow</b> & "x" </script>'
ROWS, GAP = 900, slice(830, 850)
ANOMALY = slice(860, 880)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Give a working folder with a series of two pumps, evaluated and compared."""
    folder = set_up(tmp_path_factory.mktemp("series") / "workspace")
    (folder / "data/own").mkdir(parents=True, exist_ok=True)
    rng, steps = np.random.default_rng(0), np.arange(ROWS)
    parts = []
    for pump, phase in (("<i>one</i>", 0), ("two", 2)):
        times = pd.date_range("2026-01-01", periods=ROWS, freq="10min")
        flow = np.sin(steps / 8 + phase) + rng.normal(0, 0.05, ROWS)
        part = pd.DataFrame({"time": times, "pump": pump, CHANNEL: flow, "label": "ok"})
        part["open"] = flow > 0
        if pump == "two":
            part.loc[ANOMALY, CHANNEL] = 9.0
            part.loc[part.index[ANOMALY], "label"] = "<bad>"
        parts.append(part.drop(index=steps[GAP].tolist()))
    pd.concat(parts).to_csv(folder / "data/own/pumps.csv", index=False)
    settings = {
        "class_path": "hourglass.data.Series",
        "init_args": {
            **{"path": "data/own/pumps.csv", "entity": "pump", "label": "label", "normal": "ok"},
            "window": 8,
        },
        "model": {"latent_dim": 2, "hidden": [8]},
        "training": {"batch_size": 64, "max_epochs": 2, "patience": 2},
    }
    (folder / "configs/data/pumps.yaml").write_text(json.dumps(settings))
    set_yaml(folder / "params.yaml", "data", value=["pumps"])
    set_yaml(folder / "params.yaml", "models", value=["linear"])
    with working_in(folder, FakeRecorder()):
        prepare("pumps")
        baselines("pumps")
        run_cell("pumps", "linear")
        compare()
    return folder


@pytest.fixture(scope="module")
def page(workspace) -> str:
    return (workspace / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def section(page) -> Node:
    return parse(page).by_id("pumps/linear")


def timeline(section: Node) -> Node:
    (figure,) = (each for each in section.all("figure") if "data-timeline" in each.attributes)
    return figure


@pytest.fixture(scope="module")
def content(section) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(timeline(section).attributes["data-timeline"])
    return found


def test_a_series_has_figures_over_time_instead_of_single_rows(workspace):
    folder = workspace / "runs/pumps/linear/evaluate/figures"
    drawn = {path.stem for path in folder.iterdir()}
    assert drawn >= {"timeline", "timeline_worst", "codes"}
    assert not drawn & {"reconstructions", "mistakes", "attribution", "samples"}


def test_the_timeline_is_that_of_the_entity_with_the_alarms(workspace, content, section):
    scores = pd.read_parquet(workspace / "runs/pumps/linear/evaluate/scores.parquet")
    test = scores[scores.split == "test"].reset_index(drop=True)
    half = len(test) // 2  # both pumps have the same times
    assert content["name"].startswith("pump 2 of 2, rows pumps.csv/")
    assert content["rows"] == half
    assert test.alarm[half:].sum() > test.alarm[:half].sum()
    assert content["name"].endswith(test.id.iloc[-1])
    alarms = sum(end - start for start, end in content["alarms"])
    assert alarms == test.alarm[half:].sum()
    labelled = sum(end - start for start, end in content["labelled"])
    assert labelled == test.anomaly.sum() == ANOMALY.stop - ANOMALY.start
    assert content["name"] in section.text
    events = pd.read_csv(workspace / "runs/pumps/linear/evaluate/events.csv")
    second = events[events.start_id.str.split("/").str[1].astype(int) > ROWS]
    assert f"{len(second)} event" in content["summary"]


def test_scored_rows_without_labels_have_a_timeline(workspace, tmp_path):
    with working_in(workspace, FakeRecorder()):
        detector = Detector.of_cell(Cell("pumps", "linear"))
        x = Prepared.open(workspace / "data/prepared/pumps").x("test")
    found = Timeline.of(detector, x, detector.scoring(x))
    assert found.name == "pump 2 of 2"
    assert not found.anomaly.any()
    figures.save(figures.timeline(found), tmp_path / "figure.png")
    flow, opened = found.channels()
    assert flow.column.name == CHANNEL
    assert flow.x.max() == 9.0  # in the unit of the file
    assert 0 <= opened.output.min() <= opened.output.max() <= 1


def test_the_page_calls_samples_rows_and_says_that_they_are_not_independent(page, section):
    assert "normal rows" in section.text
    headings = [heading.text for heading in section.all("th")]
    assert "rows" in headings
    assert not [heading for heading in headings if "sample" in heading]
    assert (
        "The samples of a series are its rows, which depend on those before them."
        in parse(page).text
    )


def test_names_are_escaped_and_nothing_is_loaded(page, content):
    assert CHANNEL in {panel["name"] for panel in content["panels"]}
    for forbidden in ("<b>flow", "<i>one", "<bad>", 'x" </script>'):
        assert forbidden not in page
    assert not re.search(r"(?:src|href)=\"(?!#|data:)|url\(|@import|\bimport\(|fetch\(", page)
    assert re.findall(r"https?://[^\s\"']+", page) == ["http://www.w3.org/2000/svg"]


def test_private_rows_leave_the_workspace_in_no_picture(workspace):
    shared = parse((workspace / SHARED_PAGE).read_text(encoding="utf-8")).by_id("pumps/linear")
    assert not [each for each in shared.all() if "data-timeline" in each.attributes]
    assert not list(shared.all("img"))
    folder = workspace / "runs/pumps/linear/evaluate"
    with working_in(workspace, FakeRecorder()):
        card = Prepared.open(workspace / "data/prepared/pumps").card
        allowed = {Path(name).stem for name in uploadable_files(folder.rglob("*.*"), card)}
    assert not allowed & {"timeline", "timeline_worst", "codes"}


# The script, in a browser.

PLAY = """<script>
const box = document.querySelector(".timeline"), plot = box.querySelector(".plot");
const status = () => box.querySelector("[role=status]").textContent;
const buttons = [...box.querySelectorAll("button")];
const press = (name) => buttons.find((each) => each.textContent === name).click();
const key = (name) => plot.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
const paths = () => [...box.querySelectorAll(".trace")].map((each) => each.getAttribute("d"));
const results = {};
document.querySelectorAll("details").forEach((each) => (each.open = true));
const waiting = setInterval(() => {
  if (!plot.firstChild) return;
  clearInterval(waiting);
  results.all = [status(), paths()];
  results.names = [...box.querySelectorAll(".plot .name")].map((each) => each.textContent);
  const note = (names, act) => names.forEach((name) => { act(name); results[name] = status(); });
  note(["Highest score", "Zoom in", "All"], press);
  note(["+", "ArrowLeft", "Home", "End", "-", "0"], key);
  const at = { clientX: plot.getBoundingClientRect().left + 120 };
  plot.dispatchEvent(new PointerEvent("pointermove", { ...at, pointerId: 1 }));
  results.readout = box.querySelector(".readout").textContent;
  const turned = { ...at, deltaY: -300, cancelable: true };
  const wheel = () => plot.dispatchEvent(new WheelEvent("wheel", turned));
  results.scrolls = [wheel(), status()];
  plot.focus();
  results.zooms = [wheel(), status()];
  results.width = document.documentElement.scrollWidth;
  window.top.document.title = JSON.stringify({ ...results, wrong });
}, 20);
</script>"""


@pytest.fixture(scope="module")
def played(page, tmp_path_factory) -> dict[str, Any]:
    return play(page, PLAY, tmp_path_factory.mktemp("browser"))


def test_the_script_draws_every_line_and_breaks_it_at_the_gap(played, content):
    _, paths = played["all"]
    assert len(paths) == sum(len(panel["lines"]) for panel in content["panels"])
    assert {path.count("M") for path in paths} == {2}
    assert played["names"][:-1] == [panel["name"] for panel in content["panels"]][:-1]
    assert played["wrong"] == []
    assert played["width"] <= WIDTH


def seconds(text: str) -> list[float]:
    """Return the ends of a shown stretch."""
    return [pd.Timestamp(end).timestamp() for end in text.split(" to ")]


def test_buttons_and_keys_zoom_and_move(played, content):
    first, last = seconds(played["all"][0])
    start, end = seconds(played["Highest score"])
    assert end - start < 0.6 * (last - first)
    assert max(start, content["worst"][0]) < min(end, content["worst"][1])
    assert np.ptp(seconds(played["Zoom in"])) < 0.7 * (end - start)
    assert played["All"] == played["0"] == played["all"][0]
    assert np.ptp(seconds(played["+"])) < 0.6 * (last - first)
    assert seconds(played["ArrowLeft"])[0] < seconds(played["+"])[0]
    assert seconds(played["Home"])[0] == first
    assert seconds(played["End"])[1] == last
    assert seconds(played["-"]) == [first, last]


def test_the_pointer_names_values_and_the_wheel_zooms_a_selected_plot_only(played):
    assert played["readout"].startswith("2026-01-0")
    assert f"{CHANNEL} " in played["readout"]
    assert "open True" in played["readout"] or "open False" in played["readout"]
    assert played["scrolls"] == [True, played["all"][0]]
    was_not_cancelled, shown = played["zooms"]
    assert not was_not_cancelled
    assert shown != played["all"][0]
