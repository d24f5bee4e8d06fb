"""The fork server: one process per `dvc repro` imports the slow libraries for all stages.

A small stage spends most of its time importing torch, Lightning and MLflow. The first stage that
needs them starts the server (`server`), which exits when `dvc repro` ends. Later stages send their
command to the server (`client`) and run in its forks. Each fork imports Hourglass itself, so a
stage always runs the current code in src.
"""
