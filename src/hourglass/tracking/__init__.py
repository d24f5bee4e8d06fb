"""MLflow tracking: live epochs, records of stages from their files, and logged models.

May import: evaluation, detection, networks, data, core.
"""
