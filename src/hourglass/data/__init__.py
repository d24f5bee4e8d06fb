"""Data sets: one file each, from raw files to arrays; nothing here knows a model."""
