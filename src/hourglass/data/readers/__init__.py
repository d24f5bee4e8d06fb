"""Readers of user files: whole files for `prepare`, chunks for scoring."""
