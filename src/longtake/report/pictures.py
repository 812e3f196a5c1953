"""The pictures of a report, as Plotly's figures: plain data, drawn by Plotly's script in the page. Knows no HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, TypeAlias

from longtake.report.records import Curve, Report
from longtake.report.words import Words

Figure: TypeAlias = dict[str, Any]

BARS = 24
# Told apart also by those who see few colours: Okabe and Ito, 2008.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c")
STATES = {"done": "#009e73", "failed": "#d55e00", "cancelled": "#8c8c8c"}
_GIB = float(1 << 30)
_TICKS = [
    {"dtickrange": [None, 3_600_000], "value": "%H:%M"},
    {"dtickrange": [3_600_000, 86_400_000], "value": "%H:%M\n%m-%d"},
    {"dtickrange": [86_400_000, None], "value": "%m-%d"},
]


def draw(report: Report, words: Words, zone: tzinfo | None = None) -> dict[str, Figure]:
    """Name of a section → its picture; without values there is none.

    Args:
        zone: None: the machine's.
    """
    draughts = {
        "load": _ends(report, words, zone),
        "busy": _lines(report, words, zone, "percent", _busy(report, words), 100.0),
        "speed": _speed(report, words, zone),
        "memory": _lines(report, words, zone, "gibibytes", _memory(report, words), 1 / _GIB, "high"),
        "cards": _heat(report, words, zone),
    }
    return {name: figure for name, figure in draughts.items() if figure is not None}


def _ends(report: Report, words: Words, zone: tzinfo | None) -> Figure | None:
    """How many jobs ended so, in each part of the window."""
    step_s = (report.until_s - report.since_s) / BARS
    middles = [_at(report.since_s + (bar + 0.5) * step_s, zone) for bar in range(BARS)]
    traces = []
    for state, colour in STATES.items():
        if times := report.ends.get(state):
            counts = [0] * BARS
            for at_s in times:
                counts[min(BARS - 1, int((at_s - report.since_s) / step_s))] += 1
            bars: Figure = {"type": "bar", "x": middles, "y": counts, "name": words.say(state)}
            traces.append(bars | {"marker": {"color": colour}})
    if not traces:
        return None
    layout = _layout(report, zone, words.say("jobs_ended"))
    highest = max(sum(column) for column in zip(*(trace["y"] for trace in traces), strict=True))
    layout["yaxis"] |= {"tickformat": ",d"} | ({"dtick": 1} if highest < 6 else {})  # no half jobs
    return {"data": traces, "layout": layout | {"barmode": "stack", "bargap": 0.15}}


def _busy(report: Report, words: Words) -> dict[str, str]:
    named = {"cpu_ratio": words.say("processors")}
    return named | _each(report, words, "gpu_utilisation_ratio:")


def _memory(report: Report, words: Words) -> dict[str, str]:
    named = {"memory_used_bytes": words.say("host")} | _each(report, words, "gpu_memory_used_bytes:")
    for name in sorted(report.curves):
        if name.startswith("process_resident_bytes:"):
            named[name] = words.place(name.partition(":")[2])
    return named


def _each(report: Report, words: Words, start: str) -> dict[str, str]:
    names = sorted((name for name in report.curves if name.startswith(start)), key=lambda name: (len(name), name))
    return {name: words.place(f"gpu:{name.partition(':')[2]}") for name in names}


def _speed(report: Report, words: Words, zone: tzinfo | None) -> Figure | None:
    named = {f"rtf_ratio:{speed.engine}": words.name(speed.engine) for speed in report.speeds}
    figure = _lines(report, words, zone, "rtf", named, 1.0)
    if figure is None:
        return None
    for index, speed in enumerate(report.speeds):
        if speed.usual_rtf is not None and f"rtf_ratio:{speed.engine}" in report.curves:
            figure["data"].append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": words.say("usual_of", engine=words.name(speed.engine)),
                    "x": [_at(report.since_s, zone), _at(report.until_s, zone)],
                    "y": [speed.usual_rtf] * 2,
                    "line": {"color": COLOURS[index % len(COLOURS)], "width": 1.5, "dash": "dash"},
                }
            )
    return figure


def _heat(report: Report, words: Words, zone: tzinfo | None) -> Figure | None:
    """Temperatures, with a mark wherever a card was slowed down by heat."""
    named = _each(report, words, "gpu_temperature_celsius:")
    figure = _lines(report, words, zone, "temperature", named, 1.0, "high")
    if figure is None:
        return None
    figure["layout"]["yaxis"]["rangemode"] = "normal"
    for name in named:
        index = name.partition(":")[2]
        throttled, heat = report.curves.get(f"gpu_throttled_ratio:{index}"), report.curves[name]
        marks = [place for place, share in enumerate(throttled.high) if share] if throttled is not None else []
        if marks:
            figure["data"].append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": words.say("marked_throttled", index=words.name(index)),
                    "x": [_at(_middle(heat, place), zone) for place in marks],
                    "y": [heat.high[place] for place in marks],
                    "marker": {"color": "#d55e00", "symbol": "x", "size": 8},
                }
            )
    return figure


def _lines(
    report: Report,
    words: Words,
    zone: tzinfo | None,
    title: str,
    named: Mapping[str, str],
    factor: float,
    which: str = "mean",
) -> Figure | None:
    traces: list[Figure] = []
    for name, label in named.items():
        if (curve := report.curves.get(name)) is not None:
            values: tuple[float | None, ...] = getattr(curve, which)
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": label,
                    "x": [_at(_middle(curve, place), zone) for place in range(len(values))],
                    "y": [None if value is None else float(f"{value * factor:.5g}") for value in values],
                    "line": {"color": COLOURS[len(traces) % len(COLOURS)], "width": 1.5},
                }
            )
    return {"data": traces, "layout": _layout(report, zone, words.say(title))} if traces else None


def _middle(curve: Curve, place: int) -> float:
    return curve.start_s + (place + 0.5) * curve.step_s


def _layout(report: Report, zone: tzinfo | None, title: str) -> Figure:
    grid = {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False}
    return {
        "height": 260,
        "margin": {"l": 56, "r": 16, "t": 40, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#555"},
        "title": {"text": title, "font": {"size": 13}, "x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 8}},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
        "xaxis": grid
        | {"type": "date", "range": [_at(report.since_s, zone), _at(report.until_s, zone)], "tickformatstops": _TICKS}
        | {"ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)"},
        "yaxis": grid | {"rangemode": "tozero"},
    }


def _at(wall_s: float, zone: tzinfo | None) -> str:
    """Plotly shows the time that it is given, whatever the browser's zone."""
    return datetime.fromtimestamp(math.floor(wall_s), zone).strftime("%Y-%m-%d %H:%M:%S")
