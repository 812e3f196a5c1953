"""Alerts for those without Prometheus, by the same rules. Knows no job: it looks at samples of metrics."""

from longtake.monitor.alerts.desk import AlertDesk
from longtake.monitor.alerts.evaluator import Alert, Evaluator
from longtake.monitor.alerts.rules import RULES, Rule

__all__ = ["RULES", "Alert", "AlertDesk", "Evaluator", "Rule"]
