"""The attributes by which studies and trials carry what the record and the next command need."""

# Of a study.
ASKED = "asked"  # what it asks
IDENTITY = "identity"  # what tells it from another study of the same question
# Of a trial.
WORKER = "worker"  # the process that runs it
VALUES = "values"  # the settings that were drawn, by the names of the constructor's arguments
PARAMS = "params"  # all settings, as MLflow has them
HISTORY = "history"  # a row an epoch
REFUSED = "refusal"  # why its training failed by itself, such as by diverging
