"""Infrastructure: paths, settings, YAML, errors, atomic writes, checksums, locks, the fork server.

May import: nothing.
"""
