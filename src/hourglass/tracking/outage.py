"""Tell a store that is away, which stops nothing, from one that will never take what it is told."""

import errno
from urllib.parse import urlsplit

from hourglass.core.errors import UserError, one_line

LATER = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
DENIED = (401, 403)
TOO_MANY = 429


class StoreUnavailable(Exception):
    """Say, as part of a sentence, why nothing can be recorded just now; later it may be."""


def judged(error: Exception, what: str, uri: str) -> StoreUnavailable | UserError:
    """Return what an error of the store at `uri` comes to, while `what` was done.

    A server or database that does not answer, is locked, full or read-only is away. A wrong
    password, and whatever else waiting does not mend, is refused. No password is repeated.
    """
    if isinstance(error, StoreUnavailable | UserError):
        return error
    reason = without_password(one_line(error), uri)
    if _denied(error):
        return UserError(
            f"MLflow at {shown(uri)} does not let us in ({reason}); set MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD."
        )
    return (
        StoreUnavailable(reason)
        if _passes(error)
        else UserError(f"MLflow could not {what} ({reason}).")
    )


def shown(uri: str) -> str:
    """Return a store's address as it may be printed: without name and password."""
    return without_password(uri, uri)


def without_password(text: str, uri: str) -> str:
    """Return `text` without the name and password that stand in `uri`."""
    own, at, _ = urlsplit(uri).netloc.rpartition("@")
    return text.replace(own + at, "") if own else text


def _status(error: Exception) -> int:
    """Return the HTTP status that an error stands for; 0 where for none."""
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    if isinstance(error, HTTPError) and error.response is not None:
        return int(error.response.status_code)
    return 0


def _denied(error: Exception) -> bool:
    # A database says so in its own words.
    return _status(error) in DENIED or "authentication failed" in str(error)


def _passes(error: Exception) -> bool:
    """Return whether an error may be gone later."""
    from requests import RequestException
    from sqlalchemy.exc import OperationalError

    status = _status(error)
    if status:
        return status >= 500 or status == TOO_MANY
    if isinstance(error, OSError) and error.errno in LATER:
        return True
    return isinstance(error, OperationalError | RequestException | ConnectionError | TimeoutError)
