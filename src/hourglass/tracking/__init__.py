"""MLflow tracking: live epochs, records of stages from their files, and logged models.

`connection` reaches the store, `recorder` retries, and `record` writes.

May import: evaluation, detection, networks, data, core.
"""
