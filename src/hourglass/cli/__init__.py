"""The command line: one file per command that a person types.

May import: every other package.
"""
