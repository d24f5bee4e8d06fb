"""A study as a JSON file for the report."""

import json

import optuna

from hourglass.tuning.best_trial import need_best
from hourglass.tuning.study_file import write_study
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import VALUES
from tests.tuning.studies import CELL


def test_the_file_has_the_final_trials_and_the_best_one(folder, tmp_path):
    study = optuna.create_study(direction="maximize")
    for value in (0.5, 0.75):
        trial = optuna.create_trial(value=value, user_attrs={VALUES: {"latent_dim": 4}})
        study.add_trial(trial)
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.PRUNED, value=0.25))
    study.enqueue_trial({"x": 1})  # waits, so it is not final
    spec = StudySpec.of(CELL, "detection", None)
    path = tmp_path / "study.json"
    write_study(path, study, spec, ["tuning_AUROC"], need_best(study, "a study"))
    content = json.loads(path.read_text())
    card = json.loads((CELL.prepared / "card.json").read_text())
    assert content["data"] == card["sha256"]
    assert content["cell"] == ["digits", "denoising"]
    assert (content["best"], content["directions"]) == (1, ["maximize"])
    states = [(trial["number"], trial["state"]) for trial in content["trials"]]
    assert states == [(0, "complete"), (1, "complete"), (2, "pruned")]
    assert content["trials"][1]["settings"] == {"latent_dim": 4}
