"""MLflow tracking: the connection, live training curves, and the record of each stage.

May import: evaluation, detection, networks, data, core.
"""
