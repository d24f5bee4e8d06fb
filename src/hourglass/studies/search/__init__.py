"""Similarity search: an index of codes, queries, and contact sheets of results."""
