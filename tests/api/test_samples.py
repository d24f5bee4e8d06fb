"""Splits of the estimator's samples."""

import numpy as np

from hourglass.api.samples import divide_samples


def test_calibration_samples_are_as_often_copies_of_training_samples_as_new_ones():
    rng = np.random.default_rng(0)
    x, new = (rng.geometric(0.1, (2000, 2)).astype(float) for _ in range(2))
    parts = divide_samples(x, {}, {"validation": 0.1, "calibration": 0.2}, seed=0)
    train = set(map(tuple, parts["train"]))
    shares = [
        np.mean([tuple(row) in train for row in rows]) for rows in (parts["calibration"], new)
    ]
    assert 0.3 < shares[1] < 0.97
    assert abs(shares[0] - shares[1]) < 0.08  # 3.5 standard errors
