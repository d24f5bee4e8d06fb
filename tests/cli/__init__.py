"""Tests of the commands."""

TABLE, IMAGES = ("breast_cancer", "linear"), ("digits", "undercomplete")  # calibrated cells
