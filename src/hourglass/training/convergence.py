"""Detection of trainings that ended too early, from their validation errors."""

from collections.abc import Sequence

LAST_SHARE = 0.2  # of the epochs
MIN_GAIN = 0.05  # relative to the lowest error before them


def still_improving(errors: Sequence[float], max_epochs: int) -> bool:
    """Return True if `max_epochs` ended a training whose validation error still fell.

    The lowest error of the last fifth of the epochs is then at least 5 % below the lowest error
    before. The best epoch is no sign: with a falling learning rate, it is nearly always one of the
    last.
    """
    before = len(errors) - max(1, round(LAST_SHARE * len(errors)))
    if len(errors) < max_epochs or before < 1:
        return False
    return min(errors[before:]) < (1 - MIN_GAIN) * min(errors[:before])
