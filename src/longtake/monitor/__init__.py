"""Numbers for people and Prometheus. Knows no job, no engine, no HTTP: it is handed plain numbers and callables."""

from longtake.monitor.metrics import METRICS, Metric, Metrics, Sources, WorkerFigures

__all__ = ["METRICS", "Metric", "Metrics", "Sources", "WorkerFigures"]
