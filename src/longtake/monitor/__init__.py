"""Numbers for people and Prometheus. Knows no job, no engine, no HTTP: it is handed plain numbers and callables."""

from longtake.monitor.catalogue import METRICS, Metric
from longtake.monitor.curves import Curves
from longtake.monitor.machine import Machine
from longtake.monitor.metrics import Metrics
from longtake.monitor.watch import Samples, Sight, Sources, Watch, WorkerFigures

__all__ = ["METRICS", "Curves", "Machine", "Metric", "Metrics", "Samples", "Sight", "Sources", "Watch", "WorkerFigures"]
