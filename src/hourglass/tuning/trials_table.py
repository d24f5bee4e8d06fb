"""A study as text: its trials, and what matters."""

from collections.abc import Sequence

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from hourglass.tuning.attributes import VALUES
from hourglass.tuning.best_trial import Winner, find_winner
from hourglass.tuning.study import finished

LONG = 40  # rows that are shown, the best first


def describe(study: optuna.Study, names: Sequence[str]) -> str:
    """Return the trials, the best first, and the winner, as text."""
    trials = finished(study)
    states = ", ".join(
        f"{sum(trial.state == state for trial in trials)} {state.name.lower()}"
        for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    )
    winner = find_winner(study)
    lines = [f"{study.study_name}: {len(trials)} trials ({states})"]
    if trials:
        lines += ["", table(trials, names, study, winner).head(LONG).to_string(index=False)]
    if len(trials) > LONG:
        lines.append(f"... and {len(trials) - LONG} more")
    if winner:
        found = ", ".join(f"{key} {value}" for key, value in winner.values.items())
        scores = ", ".join(map("{} {:.4g}".format, names, winner.trial.values))
        kind = "knee" if winner.front else "best"
        lines += ["", f"{kind}: trial {winner.trial.number}, {scores}, with {found}"]
    return "\n".join(lines)


def table(
    trials: Sequence[FrozenTrial], names: Sequence[str], study: optuna.Study, winner: Winner | None
) -> pd.DataFrame:
    """Return a row a trial: state, values, what was drawn; complete ones first, the best first."""
    front = {trial.number for trial in winner.front} if winner else set()
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower() + (" (front)" if trial.number in front else ""),
            **dict(zip(names, trial.values or (), strict=False)),
            **trial.user_attrs.get(VALUES, {}),
        }
        for trial in trials
    ]
    found = pd.DataFrame(rows)
    found["complete"] = [trial.state == TrialState.COMPLETE for trial in trials]
    ascending = study.directions[0] == optuna.study.StudyDirection.MINIMIZE
    if names[0] in found:
        found = found.sort_values(
            ["complete", names[0]], ascending=[False, ascending], kind="stable"
        )
    return found.drop(columns="complete")
