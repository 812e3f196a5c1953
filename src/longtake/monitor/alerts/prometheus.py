"""The rules as a file of Prometheus: ``python -m longtake.monitor.alerts.prometheus > deploy/prometheus/rules.yml``."""

from __future__ import annotations

import json

from longtake.monitor.alerts.expressions import duration
from longtake.monitor.alerts.rules import RULES

HEAD = """\
# Made by `python -m longtake.monitor.alerts.prometheus` from the rules of the built-in alerts; a test keeps both alike.
# Thresholds of yours: override a rule in a file of your own, and leave this one as it is.
"""
# What nobody can tell of himself.
DOWN = (
    "LongtakeExporterDown",
    'up{job="longtake"} == 0 or absent(up{job="longtake"})',
    "1m",
    "1m",
    "critical",
    ("longtake cannot be reached.", "See whether the server runs; behind a key, the scrape needs it, too."),
    ("无法连接 longtake。", "检查服务是否在运行；若设置了密钥，抓取配置中也需要填写。"),
)


def rules_file() -> str:
    """YAML whose strings are JSON's, which YAML reads as they are."""
    rules = [
        (
            each.name,
            each.promql(),
            duration(each.for_s),
            duration(each.keep_s),
            each.severity,
            each.english,
            each.chinese,
        )
        for each in RULES
    ]
    lines = [HEAD, "groups:", "  - name: longtake", "    rules:"]
    for name, expression, for_, keep, severity, english, chinese in (*rules, DOWN):
        lines += [
            f"      - alert: {name}",
            f"        expr: {json.dumps(expression)}",
            f"        for: {for_}",
            f"        keep_firing_for: {keep}",
            "        labels:",
            f"          severity: {severity}",
            "        annotations:",
            f"          summary: {json.dumps(english[0])}",
            f"          description: {json.dumps(english[1])}",
            f"          summary_zh: {json.dumps(chinese[0], ensure_ascii=False)}",
            f"          description_zh: {json.dumps(chinese[1], ensure_ascii=False)}",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(rules_file(), end="")
