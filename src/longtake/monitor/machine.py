"""The machine as the last look found it: cards, host, and what the heat of the cards demands. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from longtake.core.clock import Clock
from longtake.monitor.heat import HeatStatus
from longtake.monitor.probes.host import HostProbe
from longtake.monitor.probes.records import GpuReading, HostReading
from longtake.monitor.probes.series import gpu_series, host_series
from longtake.monitor.readings import of_gpus, of_heat, of_host
from longtake.monitor.watch import Samples


@dataclass(frozen=True, slots=True)
class MachineReading:
    """
    Attributes:
        seen_s: On the monotonic clock.
    """

    seen_s: float
    gpus: GpuReading
    host: HostReading
    heat: HeatStatus


class Machine:
    """`samples` is called by the thread that looks; `latest` by any."""

    def __init__(
        self, gpus: Callable[[], GpuReading], host: HostProbe, heat: Callable[[], HeatStatus], clock: Clock
    ) -> None:
        self._gpus = gpus
        self._host = host
        self._heat = heat
        self._clock = clock
        self._latest: MachineReading | None = None

    @property
    def latest(self) -> MachineReading | None:
        """None before the first look."""
        return self._latest

    def series(self) -> dict[str, float]:
        """The latest look, as series of the monitor."""
        if (reading := self._latest) is None:
            return {}
        heat = {"heat_level": float(reading.heat.heat.level)}
        return gpu_series(reading.gpus) | host_series(reading.host) | heat

    def samples(self) -> Samples:
        """Look, and give it as metrics: a source of the watch."""
        reading = MachineReading(self._clock.monotonic_s(), self._gpus(), self._host.read(), self._heat())
        self._latest = reading
        return {**of_gpus(reading.gpus), **of_host(reading.host), **of_heat(reading.heat)}
