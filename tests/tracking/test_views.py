"""Saved views: MLflow can read them, their columns exist, and they are written once."""

import base64
import json
import zlib
from typing import Any

import pytest
from mlflow import MlflowClient

from hourglass.tracking import views
from hourglass.tracking.connection import connect
from hourglass.tracking.descriptions import NOTE
from hourglass.tracking.views import VIEW_TAG, VIEWS, saved_views
from tests.workspaces import working_in


def state(tag: str) -> dict[str, Any]:
    """Read the content of a tag as the JavaScript of MLflow 3.17 does."""
    envelope = json.loads(tag)
    assert isinstance(envelope["name"], str)
    assert {type(envelope[key]) for key in ("createdAt", "updatedAt")} == {int}
    kind, _, text = envelope["state"].partition(";")
    assert kind == "deflate"
    content: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return content


@pytest.fixture
def store(tmp_path):
    """Give a client of an empty store and the id of its experiment."""
    with working_in(tmp_path):
        yield connect(tmp_path)


def test_the_views_find_the_runs_and_the_columns_that_stages_write(workspace, first):
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    experiment = client.get_experiment_by_name("hourglass")
    for view in (views.LEADERBOARD, views.TRAINING_COST):
        content = state(experiment.tags[f"{VIEW_TAG}{view.key}"])
        order = [f"{content['orderByKey']} {'ASC' if content['orderByAsc'] else 'DESC'}"]
        found = client.search_runs([experiment.experiment_id], content["searchFilter"], 1, 9, order)
        assert [run.info.run_id for run in found] == [first.id]
        logged = {f"metrics.`{key}`" for key in first.metrics}
        logged |= {f"params.`{key}`" for key in first.params}
        assert set(content["selectedColumns"]) <= logged
        assert content["columnWidths"].keys() == set(content["columnOrder"])


def test_the_experiment_opens_for_model_training_and_links_its_views(store):
    client, id = store
    tags = client.get_experiment(id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    links = saved_views(client, id)
    assert list(links) == [view.name for view in VIEWS]
    for view, link in zip(VIEWS, links.values(), strict=True):
        assert link == (
            f"#/experiments/{id}/runs?workflowType=machine_learning&viewStateShareKey={view.key}"
        )
        assert link in tags[NOTE]


def test_what_a_person_changed_stays(store, tmp_path):
    client, id = store
    client.set_experiment_tag(id, NOTE, "mine")
    client._tracking_client.store.delete_experiment_tag(id, f"{VIEW_TAG}{VIEWS[0].key}")
    connect(tmp_path)
    assert client.get_experiment(id).tags[NOTE] == "mine"
    assert VIEWS[0].name not in saved_views(client, id)
    client.set_experiment_tag(id, views.VIEWS_TAG, "those of another version")
    connect(tmp_path)
    assert client.get_experiment(id).tags[NOTE] == "mine"
    assert VIEWS[0].name in saved_views(client, id)
