"""A study as a JSON file, for readers without Optuna or its database, such as the report."""

from collections.abc import Sequence
from pathlib import Path

import optuna

from hourglass.core.atomic import write_json
from hourglass.tuning.best_trial import BestTrial
from hourglass.tuning.study import finished
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import VALUES

STUDY_FILE = "study.json"


def write_study(
    path: Path, study: optuna.Study, spec: StudySpec, names: Sequence[str], best: BestTrial
) -> None:
    """Write cell, data digest, objectives, the number of the best trial, and all final trials.

    `names` are those of the objectives. `settings` of a trial are its drawn values, by constructor
    argument.
    """
    trials = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "values": trial.values,
            "settings": trial.user_attrs.get(VALUES, {}),
        }
        for trial in finished(study)
    ]
    content = {
        "cell": [spec.cell.data, spec.cell.model],
        "data": spec.settings["data"],
        "objectives": list(names),
        "directions": [direction.name.lower() for direction in study.directions],
        "best": best.trial.number,
        "trials": trials,
    }
    write_json(path, content)
