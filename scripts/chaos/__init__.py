"""Faults that are made on purpose, and counts of what they cost."""
