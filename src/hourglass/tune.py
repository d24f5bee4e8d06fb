"""An Optuna study over one cell: which bottleneck and which noise detect best."""

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.configuration import Yaml, arguments, construct, import_class, read, resolve
from hourglass.data.packed import Prepared
from hourglass.errors import Refusal
from hourglass.settings import CellSettings, params, resolve_cell
from hourglass.stages.calibrate_threshold import make_scorer
from hourglass.tracking.recorder import Recorder, settings_params
from hourglass.workspace import CONFIGS, Cell, root

if TYPE_CHECKING:
    import optuna

SPACE = CONFIGS / "tune.yaml"


@dataclasses.dataclass(frozen=True)
class Range:
    """Bound one setting: from `low` to `high`, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False


def tune(data: str, model: str, trials: int = 20) -> None:
    """Search the settings in configs/tune.yaml for the best detector of one cell.

    The objective is the AUROC of the `score` in params.yaml on the tuning split, which holds
    labelled anomalies: the reconstruction error cannot choose a bottleneck, as a wider one always
    reconstructs better. The test split is not read. A study goes on where it was stopped, in
    ./optuna.db or HOURGLASS_OPTUNA_STORAGE; another score is another study.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        trials: how many trials the study is to have when it ends

    """
    import optuna

    cell = Cell(data, model)
    prepared = Prepared.open(cell.prepared)
    if not prepared.card["splits"]["tuning"]["anomalies"]:
        raise Refusal(f"the tuning split of {data} holds no anomalies; tuning needs some labels.")
    settings = resolve_cell(cell, prepared.sample_shape)
    # On one device: processes that Lightning starts would each run a study of their own.
    alone = settings.trainer | {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    settings = dataclasses.replace(settings, trainer=alone)
    space, scorer = _space(settings), make_scorer(params().score)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        # Another score is another objective: its trials cannot be compared with these.
        study_name=f"{cell.name}-{scorer}".removesuffix("-own"),
        storage=os.environ.get("HOURGLASS_OPTUNA_STORAGE") or f"sqlite:///{root()}/optuna.db",
        load_if_exists=True,
        direction="maximize",
    )
    # With the number of trials in its seed: one that goes on must not draw the first ones again.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    complete = (optuna.trial.TrialState.COMPLETE,)
    with Recorder() as recorder:
        for _ in range(trials - len(study.get_trials(states=complete))):
            _run_trial(study, settings, space, prepared, recorder)
    _print(study)


def _space(settings: CellSettings) -> dict[str, Range]:
    """Return the ranges of configs/tune.yaml that the variant's constructor takes."""
    from hourglass.models.base import LitAutoencoder

    kind = import_class(settings.class_path, LitAutoencoder, settings.model)
    values: Yaml = read(SPACE, None)
    found = {}
    for name in (name for name in arguments(kind) if name in values):
        where = f"{SPACE.as_posix()}, {name}"
        found[name] = construct(Range, resolve(Range, values[name], where), where)
    if not found:
        raise Refusal(f"{SPACE.as_posix()} names no setting that {settings.model} takes.")
    return found


def _run_trial(
    study: "optuna.Study",
    settings: CellSettings,
    space: dict[str, Range],
    prepared: Prepared,
    recorder: Recorder,
) -> None:
    """Train and judge one draw; a refused one, such as a diverged training, counts as failed."""
    import optuna

    trial = study.ask()
    draw = {name: _suggest(trial, name, each, settings) for name, each in space.items()}
    chosen = dataclasses.replace(settings, init_args=settings.init_args | draw)
    try:
        value = _objective(chosen, prepared)
        study.tell(trial, value)
        metrics, status = {"tuning_AUROC": value}, "FINISHED"
    except Refusal as refusal:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        metrics, status = {}, "FAILED"
        print(f"trial {trial.number}: {refusal}")
    recorder.tell(
        "trial",
        study=study.study_name,
        number=trial.number,
        params=settings_params(dataclasses.asdict(chosen)),
        metrics=metrics,
        status=status,
    )


def _suggest(trial: "optuna.Trial", name: str, bounds: Range, settings: CellSettings) -> float:
    if isinstance(settings.init_args[name], int):
        return trial.suggest_int(name, int(bounds.low), int(bounds.high), log=bounds.log)
    return trial.suggest_float(name, bounds.low, bounds.high, log=bounds.log)


def _objective(settings: CellSettings, prepared: Prepared) -> float:
    """Train with the given settings and return the AUROC on the tuning split."""
    from hourglass import metrics
    from hourglass.data.datamodule import DataModule
    from hourglass.detection.scoring import Scoring
    from hourglass.training import fitting

    module = fitting.make_module(settings)
    data = DataModule(settings.data, settings.training.batch_size, settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        trainer, history = fitting.make_trainer(settings, Path(folder), None)
        fitting.pretrain(settings, Path(folder), None, module, data)
        fitting.fit(trainer, history, module, data)
    tuning = prepared.split("tuning")
    normal, scorer = prepared.split("train").x, make_scorer(params().score)
    scoring = Scoring.fit(module.network.eval(), prepared.scaling, scorer, normal)
    return metrics.detection(scoring(tuning.x), tuning.anomaly, intervals=False)["AUROC"]


def _print(study: "optuna.Study") -> None:
    table = study.trials_dataframe(attrs=("number", "state", "value", "params"))
    table.columns = [str(name).removeprefix("params_") for name in table.columns]
    table = table.rename(columns={"value": "tuning_AUROC"})
    print(table.sort_values("tuning_AUROC", ascending=False).to_string(index=False))
    print(f"best: tuning AUROC {study.best_value:.4f} with {study.best_params}")
