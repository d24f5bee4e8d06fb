"""A storage that waits for its database, such as a PostgreSQL that is restarted."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from hourglass.tuning import locks

AWAY = (StorageInternalError, SQLAlchemyError)  # what Optuna raises then, among other things
# What Optuna's cache calls of the storage that it stands before, beside BaseStorage's methods.
INNER = (
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_stale_trial_ids",
    "_get_trials",
    "_set_trial_param",
    "get_trial_id_from_study_id_trial_number",
    "record_heartbeat",
)


class RetryingStorage(RDBStorage):
    """Try again, for a minute, what fails because the database is away.

    When it is opened the database must be there: a wrong address is told at once. All that is
    written may be written twice. But for a new trial: of one whose answer got lost there is one
    more, which no worker has named its own, and which ends as those of killed workers.
    """


def is_away(error: BaseException | None) -> bool:
    """Return whether it was the connection that failed, and not what was asked."""
    if isinstance(error, StorageInternalError):
        error = error.__cause__
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, OperationalError)


def _patiently(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        end = time.monotonic() + locks.PATIENCE
        while True:
            try:
                return method(*args, **kwargs)
            except AWAY as error:
                if not is_away(error) or time.monotonic() > end:
                    raise
            time.sleep(locks.PAUSE)

    return call


for _name in (*BaseStorage.__abstractmethods__, *INNER):
    if _name in vars(RDBStorage):
        setattr(RetryingStorage, _name, _patiently(vars(RDBStorage)[_name]))
