"""What a training does to the machine: MLflow's system metrics."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor


def start(run_id: str, uri: str, resume: bool) -> "SystemMetricsMonitor":
    """Measure the system every two seconds into a run of the store at `uri`, until `finish`."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(
        run_id, sampling_interval=2, resume_logging=resume, tracking_uri=uri
    )
    monitor.start()
    return monitor


def finish(monitor: "SystemMetricsMonitor") -> None:
    """Stop measuring; however short the training was, it is measured once."""
    monitor.finish()
    monitor.collect_metrics()
    monitor.publish_metrics(monitor.aggregate_metrics())
    monitor.mlflow_logger.flush()
