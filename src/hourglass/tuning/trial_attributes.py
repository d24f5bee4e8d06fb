"""Names of the user attributes that Hourglass stores in Optuna studies and trials."""

# Of a study.
SPEC = "spec"  # the settings of its StudySpec
IDENTITY = "identity"  # random; distinguishes studies of the same name in different storages
NOTES = "notes"  # ranges of the search space that were cut
# Of a trial.
WORKER = "worker"  # the name of the process that runs it
VALUES = "values"  # the drawn values, by constructor argument
PARAMS = "params"  # all settings, as logged to MLflow
HISTORY = "history"  # one row per epoch
FAILURE = "failure"  # the reason for a failed training, for example a diverged loss
