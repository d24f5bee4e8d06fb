"""Stages that start warm: forks of one process of a `dvc repro` that has done the imports.

Most of the time of a small stage goes into importing torch, Lightning and MLflow. The first stage
that needs them starts a process (`server`) that imports them once and lives as long as this `dvc
repro`; the stages that follow hand their command over to it (`client`), and run in forks of it.
Hourglass itself is imported anew by each: a stage always runs the code that lies in src.
"""
