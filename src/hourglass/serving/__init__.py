"""Detectors in production: MLflow models, the registry, the scoring server, Spark and ONNX.

May import: tracking, detection, networks, data, core.
"""
