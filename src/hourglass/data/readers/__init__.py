"""Readers of user files: tables and images, whole or in chunks."""
