"""Compare two MLflow stores: the rows of each cell, their params, metrics and curves.

    python scripts/stores.py sqlite:///mlflow.db http://127.0.0.1:5000

What the machine did (`system/...`), the packages it had, and when a point was written are no part
of a row here: no file of a cell holds them, so nothing can bring them back.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

Point = tuple[int, float]  # step and value
PACKAGES = "environment/requirements.txt"  # of the machine that trained


@dataclass(frozen=True)
class Row:
    """One run as far as two stores can agree on it."""

    id: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, list[Point]]  # of every metric all points, by step
    files: frozenset[str]  # paths of all artifacts but PACKAGES
    models: int  # how many are logged and ready


def rows(uri: str, experiment: str = "hourglass") -> dict[str, list[Row]]:
    """Return the rows of an experiment that are not deleted, by what they are of.

    A cell is `<data>/<model>`, whose rows stand in the order of their params; the row of a
    comparison, a study or a trial goes by its name, a trial's after that of its study.
    """
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if not found:
        return {}
    runs = {run.info.run_id: run for run in _runs(client, found.experiment_id)}
    keyed: dict[str, list[Row]] = defaultdict(list)
    for run in runs.values():
        keyed[_key(run, runs)].append(_row(client, run))
    for each in keyed.values():
        each.sort(key=lambda row: sorted(row.params.items()))
    return dict(sorted(keyed.items()))


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
    """Return a sentence for everything in which two stores differ; nothing where they agree.

    Without `times`, what took how long may differ: metrics with `seconds` or `per_second` in them.
    """
    found = []
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key, []), theirs.get(key, [])
        if len(one) != len(other):
            found.append(f"{key}: {len(one)} rows against {len(other)}.")
            continue
        for a, b in zip(one, other, strict=True):
            found += [f"{key}: {each}" for each in _between(a, b, times)]
    return found


def _between(a: Row, b: Row, times: bool) -> Iterator[str]:
    if a.status != b.status:
        yield f"status {a.status} against {b.status}."
    for what, mine, yours in (("param", a.params, b.params), ("metric", a.curves, b.curves)):
        for name in sorted(mine.keys() | yours.keys()):
            if mine.get(name) != yours.get(name) and (times or "second" not in name):
                yield f"{what} {name} {mine.get(name)} against {yours.get(name)}."
    for name in sorted(a.files ^ b.files):
        yield f"the artifact {name} is in one of them only."
    if a.models != b.models:
        yield f"{a.models} models against {b.models}."


def main() -> None:
    """Compare two stores; status 1 where they differ."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    first, second = map(rows, sys.argv[1:])
    found = differences(first, second)
    print("\n".join(found) or f"equal: {sum(map(len, first.values()))} rows")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
