"""Evaluation: metrics, baselines, figures and the HTML report.

May import: detection, training, networks, data, core.
"""
