"""Evaluation: metrics, baselines, figures and the HTML report.

May import: detection, networks, data, core.
"""
