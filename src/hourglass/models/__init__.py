"""The variants: one LightningModule a file.

A file here imports base, networks and what is in training only, never another variant, so that a
change to it re-runs that variant's cells and no others.
"""
