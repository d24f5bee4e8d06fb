"""The environment variables that MLflow reads when it is imported.

The fork server loads this file by its path, so it imports nothing of Hourglass.
"""

import os


def set_variables() -> None:
    """Make MLflow quiet and its requests fail within seconds, unless the user has set otherwise.

    MLflow itself must not repeat a request: if the reply to a request was lost, the run may exist,
    and only `hourglass.tracking` searches for it first.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
