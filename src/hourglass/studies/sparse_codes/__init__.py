"""Sparse codes: metrics of their units, probing, feature absorption, and samples per unit."""
