"""Compare two MLflow stores: the runs of each cell, their params, metrics and curves.

    python scripts/stores.py sqlite:///mlflow.db http://127.0.0.1:5000

The comparison leaves out system metrics (`system/...`), package lists and write times: no file of a
cell holds them, so `hourglass record` cannot restore them.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from common import argument_parser
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

Point = tuple[int, float]  # step and value
PACKAGES = "environment/requirements.txt"  # differs per machine


@dataclass(frozen=True)
class Row:
    """The comparable part of an MLflow run."""

    id: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, list[Point]]  # all points per metric, by step
    files: frozenset[str]  # paths of all artifacts except PACKAGES
    models: int  # number of logged models that are ready


def rows(uri: str, experiment: str = "hourglass") -> dict[str, list[Row]]:
    """Return the runs of an experiment, grouped by subject, without deleted runs.

    The runs of a cell have the key `<data>/<model>` and are sorted by params. The run of a
    comparison, study or trial has its name as key; a trial's follows that of its study.
    """
    client = MlflowClient(uri)
    stored = client.get_experiment_by_name(experiment)
    if not stored:
        return {}
    runs = {run.info.run_id: run for run in _runs(client, stored.experiment_id)}
    by_key: dict[str, list[Row]] = defaultdict(list)
    for run in runs.values():
        by_key[_key(run, runs)].append(_row(client, run))
    for group in by_key.values():
        group.sort(key=lambda row: sorted(row.params.items()))
    return dict(sorted(by_key.items()))


def _runs(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    page = client.search_runs([experiment_id])
    yield from page
    while page.token:
        page = client.search_runs([experiment_id], page_token=page.token)
        yield from page


def _key(run: Run, runs: Mapping[str, Run]) -> str:
    params, tags, name = run.data.params, run.data.tags, str(run.info.run_name)
    parent = runs.get(tags.get(MLFLOW_PARENT_RUN_ID, ""))
    if parent:
        return f"{parent.info.run_name}, {name}"
    if name == f"{params.get('data')}-{params.get('model')}":
        return f"{params['data']}/{params['model']}"
    return f"{name} {params['data']} x {params['models']}" if "models" in params else name


def _row(client: MlflowClient, run: Run) -> Row:
    run_id = run.info.run_id
    metrics = {key: x for key, x in run.data.metrics.items() if not key.startswith("system/")}
    curves = {
        key: sorted((point.step, point.value) for point in client.get_metric_history(run_id, key))
        for key in metrics
    }
    files = frozenset(_files(client, run_id)) - {PACKAGES}
    outputs = run.outputs.model_outputs if run.outputs else []
    ready = [client.get_logged_model(each.model_id).status == "READY" for each in outputs]
    params, models = dict(run.data.params), sum(ready)
    return Row(run_id, run.info.status, params, metrics, curves, files, models)


def _files(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for each in client.list_artifacts(run_id, folder):
        if each.is_dir:
            yield from _files(client, run_id, each.path)
        else:
            yield each.path


def differences(
    ours: Mapping[str, list[Row]], theirs: Mapping[str, list[Row]], times: bool = True
) -> list[str]:
    """Return one sentence per difference between two stores.

    Without `times`, metrics with `second` in their name may differ.
    """
    sentences = []
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key, []), theirs.get(key, [])
        if len(one) != len(other):
            sentences.append(f"{key}: {len(one)} rows against {len(other)}.")
            continue
        for a, b in zip(one, other, strict=True):
            sentences += [f"{key}: {each}" for each in _between(a, b, times)]
    return sentences


def _between(a: Row, b: Row, times: bool) -> Iterator[str]:
    if a.status != b.status:
        yield f"status {a.status} against {b.status}."
    for what, mine, yours in (("param", a.params, b.params), ("metric", a.curves, b.curves)):
        for name in sorted(mine.keys() | yours.keys()):
            if mine.get(name) != yours.get(name) and (times or "second" not in name):
                yield f"{what} {name} {mine.get(name)} against {yours.get(name)}."
    for name in sorted(a.files ^ b.files):
        yield f"the artifact {name} is in one store only."
    if a.models != b.models:
        yield f"{a.models} models against {b.models}."


def main() -> None:
    """Compare two stores; exit with status 1 if they differ."""
    parser = argument_parser(__doc__)
    parser.add_argument("uris", nargs=2, metavar="URI")
    first, second = map(rows, parser.parse_args().uris)
    sentences = differences(first, second)
    print("\n".join(sentences) or f"equal: {sum(map(len, first.values()))} rows")
    sys.exit(bool(sentences))


if __name__ == "__main__":
    main()
