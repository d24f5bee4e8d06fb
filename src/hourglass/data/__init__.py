"""Data sets, readers of user files, splits, prepared arrays and the LightningDataModule; no models.

May import: core.
"""
