"""Columns of a table: kinds, inference, codes of cells, statistics and encoding."""
