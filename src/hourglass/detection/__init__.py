"""Detectors: inference, scorers, calibrators, thresholds, attribution and drift.

May import: networks, data, core.
"""
