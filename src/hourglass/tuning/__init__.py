"""Hyperparameter tuning with Optuna: search space, objectives, trials, workers and the best trial.

May import: tracking, evaluation, detection, training, models, networks, data, core.
"""
