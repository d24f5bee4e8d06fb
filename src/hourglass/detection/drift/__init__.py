"""Drift: compare the scores of new samples with those of the calibration samples."""
