"""Malformed inputs, a module a kind, each with what a right answer to it would be."""
