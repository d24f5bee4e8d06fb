"""MLflow tracking: live epochs, the record of each stage from its files, logged models.

May import: evaluation, detection, networks, data, core.
"""
