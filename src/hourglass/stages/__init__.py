"""Pipeline stages, one file per DVC stage: each reads files, calls a function and writes files.

May import: studies, tracking, evaluation, detection, training, models, networks, data, core.
"""
