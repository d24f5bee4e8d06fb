"""The environment variables that MLflow reads when it is imported.

The fork server loads this file by its path, so it must not import other modules of Hourglass.
"""

import os


def set_variables() -> None:
    """Silence MLflow and shorten its timeouts; variables set by the user are not changed.

    MLflow must not repeat requests: if the reply to a request was lost, the run may already exist.
    `hourglass.tracking` searches for the run before it repeats a request.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")  # seconds
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
