"""The command line: one file per user command.

May import: every other package.
"""
