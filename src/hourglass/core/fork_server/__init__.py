"""A fork server for stages: forks of one process of a `dvc repro` that has done the imports.

Most of the time of a small stage goes into importing torch, Lightning and MLflow. The first stage
that needs them starts a server (`server`) that imports them once and lives as long as this `dvc
repro`. Later stages hand their command over to it (`client`) and run in forks of it. Each fork
imports Hourglass again, so a stage always runs the code that is in src at that time.
"""
