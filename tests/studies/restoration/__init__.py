"""Tests of what restores images."""
