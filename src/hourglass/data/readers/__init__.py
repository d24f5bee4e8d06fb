"""Readers of user files: whole files (`*_files`) for `prepare`, chunks (`*_chunks`) for scoring."""
