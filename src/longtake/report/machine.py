"""The machine's part of a report: memory, heat, processors and speed, out of the minutes that the monitor keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from longtake.monitor.probes.records import HARDWARE_SLOWDOWNS, Throttle
from longtake.monitor.rollups import MINUTE_S, Rollups
from longtake.monitor.series import Band, Values, mean_of
from longtake.report.records import CardHealth, Curve, Measured, Memory, Speed
from longtake.report.speed import slow_since

MOST_STEPS = 288  # of a curve in a picture: of a day five minutes each
_RTF = "rtf_ratio:"
_RESIDENT = "process_resident_bytes:"
_POOL = "pool_held_bytes:"
_THROTTLED = "gpu_throttled_ratio:"  # made here: of the reasons below, the one that held longest in each minute
_HEAT = (Throttle.THERMAL, *sorted(HARDWARE_SLOWDOWNS))
# Used → what there is of it.
_LIMITED = {
    "host": ("memory_used_bytes", "memory_total_bytes"),
    "swap": ("swap_used_bytes", None),
    "cgroup": ("cgroup_memory_used_bytes", "cgroup_memory_limit_bytes"),
}
_DRAWN = ("cpu_ratio", "memory_used_bytes", "gpu_utilisation_ratio:", "gpu_memory_used_bytes:")
_DRAWN_TOO = ("gpu_temperature_celsius:", _RESIDENT, _RTF, _THROTTLED)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the monitor knows of a window; empty when it has watched nothing of it."""

    known_s: float = 0.0
    cpu_ratio: float | None = None
    memory: tuple[Memory, ...] = ()
    cards: tuple[CardHealth, ...] = ()
    speeds: tuple[Speed, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)


def look_at(rollups: Rollups, since_s: float, until_s: float, usual_since_s: float) -> Machine:
    """Everything about the machine between ``since_s`` and ``until_s``.

    Args:
        usual_since_s: Since when minutes count for what is usual; until ``since_s``.
    """
    first, until = int(since_s // MINUTE_S), math.ceil(until_s / MINUTE_S) - 1
    steps, start_s = until - first + 1, float(first * MINUTE_S)
    names = [name for name in rollups.names() if not name.startswith("cpu_core_ratio")]
    bands = rollups.bands(names, until=until, steps=steps, step_minutes=1)
    if not bands:
        return Machine()
    cards = sorted({int(name.partition(":")[2]) for name in bands if name.startswith("gpu_lost:")})
    bands |= {f"{_THROTTLED}{index}": _throttled(bands, index) for index in cards}
    known = np.any([~np.isnan(band.mean) for band in bands.values()], axis=0)
    return Machine(
        known_s=float(known.sum() * MINUTE_S),
        cpu_ratio=_mean(bands.get("cpu_ratio")),
        memory=_memory(bands, cards),
        cards=tuple(_card(bands, index) for index in cards),
        speeds=_speeds(bands, rollups, first - 1, math.ceil((since_s - usual_since_s) / MINUTE_S), start_s),
        curves={name: _curve(band, start_s) for name, band in bands.items() if name.startswith(_DRAWN + _DRAWN_TOO)},
    )


def _memory(bands: Mapping[str, Band], cards: list[int]) -> tuple[Memory, ...]:
    limited = dict(_LIMITED)
    limited |= {
        f"gpu:{index}": (f"gpu_memory_used_bytes:{index}", f"gpu_memory_total_bytes:{index}") for index in cards
    }
    limited |= {name.removeprefix(_RESIDENT): (name, None) for name in sorted(bands) if name.startswith(_RESIDENT)}
    limited |= {
        f"pool/{engine}": (name, f"pool_limit_bytes:{engine}")
        for name in sorted(bands)
        if name.startswith(_POOL) and (engine := name.removeprefix(_POOL))
    }
    found = []
    for what, (used, limit) in limited.items():
        mean, highest = _mean(bands.get(used)), _highest(bands.get(used))
        if mean is not None and highest is not None and (highest or not what.startswith(("swap", "pool"))):
            found.append(Memory(what, mean, highest, _highest(bands.get(limit)) if limit else None))
    return tuple(found)


def _card(bands: Mapping[str, Band], index: int) -> CardHealth:
    return CardHealth(
        index=index,
        highest_celsius=_highest(bands.get(f"gpu_temperature_celsius:{index}")),
        utilisation_ratio=_mean(bands.get(f"gpu_utilisation_ratio:{index}")),
        highest_watts=_highest(bands.get(f"gpu_power_watts:{index}")),
        throttled_s=_seconds(bands.get(f"{_THROTTLED}{index}")),
        capped_s=_seconds(bands.get(f"gpu_throttle_{Throttle.POWER_CAP}_ratio:{index}")),
        xids=_increase(bands.get(f"gpu_xids:{index}")),
        lost_s=_seconds(bands.get(f"gpu_lost:{index}")),
    )


def _throttled(bands: Mapping[str, Band], index: int) -> Band:
    """Reasons come together: their shares of a minute must not be added."""
    unknown = np.full_like(bands[f"gpu_lost:{index}"].mean, np.nan)
    reasons = [bands[name] for each in _HEAT if (name := f"gpu_throttle_{each}_ratio:{index}") in bands]
    mean = np.fmax.reduce([unknown, *(band.mean for band in reasons)])
    high = np.fmax.reduce([unknown, *(band.high for band in reasons)])
    return Band(mean, mean, high)


def _speeds(
    bands: Mapping[str, Band], rollups: Rollups, usual_until: int, usual_steps: int, start_s: float
) -> tuple[Speed, ...]:
    names = [name for name in sorted(bands) if name.startswith(_RTF)]
    if not names:
        return ()
    before = rollups.bands(names, until=usual_until, steps=usual_steps, step_minutes=1) if usual_steps > 0 else {}
    found = []
    for name in names:
        minutes = bands[name].mean
        points = [(start_s + int(at) * MINUTE_S, float(minutes[at])) for at in np.flatnonzero(~np.isnan(minutes))]
        usual = float(np.nanmedian(before[name].mean)) if name in before else None
        rtf = float(np.nanmedian(minutes))
        found.append(Speed(name.removeprefix(_RTF), Measured.BY_ENGINE, rtf, usual, slow_since(points, usual)))
    return tuple(found)


def _mean(band: Band | None) -> float | None:
    return None if band is None or np.isnan(band.mean).all() else float(np.nanmean(band.mean, dtype=np.float64))


def _highest(band: Band | None) -> float | None:
    return None if band is None or np.isnan(band.high).all() else float(np.nanmax(band.high))


def _seconds(band: Band | None) -> float:
    """Of a share of time: how long that was."""
    return 0.0 if band is None else float(np.nansum(band.mean, dtype=np.float64) * MINUTE_S)


def _increase(band: Band | None) -> int:
    """Of a count that grows, and begins anew with each start of the process that counts."""
    if band is None:
        return 0
    total, last = 0.0, None
    for low, high in zip(band.low, band.high, strict=True):
        if not math.isnan(high):
            before = float(low) if last is None else last
            total += float(high) - before if high >= before else float(high)
            last = float(high)
    return round(total)


def _curve(band: Band, start_s: float) -> Curve:
    """Few enough points for a picture; steps that are not full begin before the window, where nothing is known."""
    minutes = math.ceil(len(band.mean) / MOST_STEPS)
    missing = -len(band.mean) % minutes
    mean, high = (_folded(values, missing, minutes) for values in (band.mean, band.high))
    return Curve(
        start_s=start_s - missing * MINUTE_S,
        step_s=float(minutes * MINUTE_S),
        mean=_plain(mean_of(mean)),
        high=_plain(np.fmax.reduce(high, axis=1)),
    )


def _folded(values: Values, missing: int, minutes: int) -> Values:
    unknown: Values = np.full(missing, np.nan, np.float32)
    return np.concatenate([unknown, values]).reshape(-1, minutes)


def _plain(values: Values) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else float(f"{value:.6g}") for value in values)
