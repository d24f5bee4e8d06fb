"""Tests of whole stages, alone and together."""
