"""Detectors that others call: MLflow's registry and scoring server, Spark, ONNX."""
