"""The Python API: the scikit-learn estimator, loading of detectors, and the leaderboard.

May import: tuning, serving, tracking, evaluation, detection, training, models, networks, data,
core.
"""
