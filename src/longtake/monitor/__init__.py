"""Numbers for people and Prometheus. Knows no job, no engine, no HTTP: it is handed plain numbers and callables."""

from longtake.monitor.catalogue import METRICS, Metric
from longtake.monitor.metrics import Metrics
from longtake.monitor.watch import Samples, Sight, Sources, Watch, WorkerFigures

__all__ = ["METRICS", "Metric", "Metrics", "Samples", "Sight", "Sources", "Watch", "WorkerFigures"]
