"""The record in MLflow: the stages' side, and the process that writes it."""
