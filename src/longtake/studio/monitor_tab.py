"""The tab Monitor: which charts there are. The browser asks the API for figures and draws them; Python does nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import gradio as gr

from longtake.studio.files import Addresses
from longtake.studio.plotly import ADDRESS
from longtake.studio.script import script
from longtake.studio.tab_text import MONITOR


@dataclass(frozen=True, slots=True)
class Line:
    """Series of the monitor that are drawn alike: the one of this name, and those that have more behind a colon.

    Attributes:
        series: Without a colon; what is behind it tells them apart.
        told: Word for the legend; what is behind the colon follows.
        whole: Word for the series without anything behind a colon, when it is of all the others together.
        is_limit: Drawn as a thin broken line.
    """

    series: str
    told: str = ""
    whole: str = ""
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        section: ``cards``, ``engine`` or ``machine``; without a card there is no chart of the first.
        title: A word; so is every other text here.
        unit: ``ratio``, ``bytes``, ``celsius``, ``watts``, ``count`` or ``plain``.
        of_step: Of each step of time, its ``mean`` or its ``max``.
        marks: Series without the card; a step in which one is above 0 gets a mark on the card's line.
        has_heat: Thresholds of the heat policy, and the times at which it acted.
    """

    id: str
    section: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    of_step: str = "mean"
    marks: tuple[str, ...] = ()
    mark_told: str = ""
    has_heat: bool = False


_SLOWED: Final = tuple(
    f"gpu_throttle_{why}_ratio" for why in ("thermal", "hardware_thermal", "hardware_slowdown", "power_brake")
)

CHARTS: Final = (
    Chart("rtf", "engine", "mon_rtf", "plain", (Line("rtf_ratio"),)),
    Chart(
        "queue", "engine", "mon_queue", "count", (Line("queue_jobs", "mon_waiting_jobs"), Line("jobs", "mon_in_hand"))
    ),
    Chart(
        "pool",
        "engine",
        "mon_pool",
        "bytes",
        (
            Line("pool_held_bytes", "mon_held"),
            Line("kv_bytes", "mon_kv"),
            Line("pool_limit_bytes", "mon_limit", is_limit=True),
        ),
        "max",
    ),
    Chart(
        "utilisation",
        "cards",
        "mon_utilisation",
        "ratio",
        (Line("gpu_utilisation_ratio", "mon_card", "mon_mean"),),
    ),
    Chart(
        "memory",
        "cards",
        "mon_memory",
        "bytes",
        (
            Line("gpu_memory_used_bytes", "mon_card", "mon_total"),
            Line("gpu_memory_total_bytes", "mon_size", "mon_size", is_limit=True),
        ),
        "max",
    ),
    Chart(
        "temperature",
        "cards",
        "mon_temperature",
        "celsius",
        (Line("gpu_temperature_celsius", "mon_card", "mon_hottest"),),
        "max",
        _SLOWED,
        "mon_throttled",
        has_heat=True,
    ),
    Chart(
        "power",
        "cards",
        "mon_power",
        "watts",
        (Line("gpu_power_watts", "mon_card", "mon_total"), Line("gpu_power_limit_watts", "mon_limit", is_limit=True)),
        marks=("gpu_throttle_power_cap_ratio",),
        mark_told="mon_capped",
    ),
    Chart("cpu", "machine", "mon_cpu", "ratio", (Line("cpu_ratio", "mon_all_cores"),)),
    Chart(
        "host_memory",
        "machine",
        "mon_host_memory",
        "bytes",
        (
            Line("memory_used_bytes", "mon_used"),
            Line("process_resident_bytes"),
            Line("memory_total_bytes", "mon_size", is_limit=True),
        ),
        "max",
    ),
)

WINDOWS: Final = (
    # What it is called, seconds, steps, and how often it is asked for: no oftener than there is something new.
    {"told": "mon_minutes", "seconds": 300, "steps": 300, "every_s": 1},
    {"told": "mon_hour", "seconds": 3600, "steps": 360, "every_s": 10},
    {"told": "mon_day", "seconds": 86_400, "steps": 288, "every_s": 60},
)


def names() -> list[str]:
    """Every series that a chart needs."""
    wanted = {line.series for chart in CHARTS for line in chart.lines}
    wanted |= {mark for chart in CHARTS for mark in chart.marks}
    return sorted(wanted | {"heat_level"})


def monitor_js(addresses: Addresses) -> str:
    """What runs in the browser once the tab is opened."""
    config: dict[str, Any] = {
        "monitor": addresses.monitor,
        "plotly": ADDRESS,
        "charts": [asdict(chart) for chart in CHARTS],
        "windows": WINDOWS,
        "names": ",".join(names()),
    }
    return script("curves.js", "charts.js", "monitor.js", config=config, words=MONITOR)


def build_monitor(addresses: Addresses) -> Any:
    """Inside a tab. The script makes all of it, in the language that the page has just then."""
    return gr.HTML("", elem_id="lt-monitor", js_on_load=monitor_js(addresses), apply_default_css=False)
