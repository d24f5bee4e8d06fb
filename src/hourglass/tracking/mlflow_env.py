"""What MLflow reads from the environment when it is imported."""

import os


def set_variables() -> None:
    """Have MLflow say little, and report a dead server in seconds; what the user set stays.

    MLflow itself tries nothing twice: a request whose answer was lost may have opened a row, which
    `hourglass.tracking.retry_queue` looks for before it tries again.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
