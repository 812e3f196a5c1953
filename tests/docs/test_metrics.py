"""docs/metrics.md and the code say the same, and the page names no metric that there is not."""

from __future__ import annotations

import re

from longtake.monitor import METRICS
from longtake.monitor.catalogue import GROUPS
from tests.docs.markdown import read, sections, spans, table

PAGE = read("metrics.md")


def test_every_metric_is_described_as_the_code_does() -> None:
    told = {
        part.split("\n", 1)[0].strip(): [
            (name.strip("`"), kind, tuple(spans(labels)), meaning)
            for name, kind, labels, meaning in table(part, "metric")
        ]
        for part in sections(PAGE)
        if "| metric |" in part
    }
    assert told == {
        title: [(each.name, each.kind, each.labels, each.help) for each in metrics] for title, metrics in GROUPS.items()
    }


def test_no_metric_is_named_that_there_is_not() -> None:
    assert set(re.findall(r"longtake_[a-z_]*[a-z]\b", PAGE.replace("longtake_gpu_…", ""))) - {"longtake"} <= set(
        METRICS
    )


def test_the_real_time_factor_is_defined() -> None:
    assert "compute seconds ÷ audio seconds. **Lower is better**" in PAGE
    assert "audio seconds ÷ compute seconds" in PAGE
