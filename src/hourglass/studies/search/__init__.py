"""Samples that are alike, by the distance of their codes."""
