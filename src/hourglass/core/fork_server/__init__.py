"""A fork server for stages: one process per `dvc repro` imports the slow libraries once.

A small stage spends most of its time importing torch, Lightning and MLflow. The first stage that
needs them starts a server (`server`). The server imports them once and ends with its `dvc repro`.
Later stages send their command to the server (`client`) and run in forks of it. Each fork imports
Hourglass itself, so a stage always runs the current code in src.
"""
