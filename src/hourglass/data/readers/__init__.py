"""Readers of user files: whole files for `prepare` beside chunks for scoring."""
