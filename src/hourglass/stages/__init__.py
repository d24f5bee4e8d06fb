"""Pipeline stages, one file per DVC stage; each reads files, calls a function, writes files.

May import: studies, tracking, evaluation, detection, training, models, networks, data, core.
"""
